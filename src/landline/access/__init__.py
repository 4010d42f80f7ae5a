"""Who may read: what the app decided, how long that is good, and who asks too much."""
