"""What no command line says to all versions of gunicorn alike."""

control_socket_disable = True  # newer versions open one in the working folder; older ones do not know the setting
