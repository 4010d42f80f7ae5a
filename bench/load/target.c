/* The least that a server can do: answers every request on every connection with the same bytes. What the load program
 * reaches against it is the load program's own ceiling.
 *
 *   target PORT
 */
#include "load.h"

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"data\":null}";

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: target PORT\n"); return 2; }
    raise_limit();
    int door = socket(AF_INET, SOCK_STREAM, 0), one = 1, poller = epoll_create1(0);
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(0x7f000001)};
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(door, (struct sockaddr *)&here, sizeof here) < 0 || listen(door, 1024) < 0)
        fail("port %s: %s", argv[1], strerror(errno));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door};
    epoll_ctl(poller, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, -1);
        for (int e = 0; e < ready; e++) {
            static char buffer[65536];
            int fd = events[e].data.fd;
            if (fd == door) {
                event.data.fd = accept(door, NULL, NULL);
                if (event.data.fd >= 0) epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
            } else if (recv(fd, buffer, sizeof buffer, 0) <= 0) {
                close(fd);
            } else if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) {
                close(fd);
            }
        }
    }
}
