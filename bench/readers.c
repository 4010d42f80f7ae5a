/* A great many readers of one server: opens connections, sends each the same request, and tells when the last one has
 * been told something. Light, so that the server is what is measured.
 *
 *   readers PORT COUNT MARK < request      MARK: what every hello and every event has in it, once
 *
 * Prints "ready SECONDS" when every reader has had its first MARK, and "told LAST MEDIAN P99" (CLOCK_MONOTONIC, in
 * seconds) each time that all have had one more. Ends with its standard output.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct reader { int fd; int matched; long told; };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what) { perror(what); exit(1); }

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: readers PORT COUNT MARK < request\n"); return 2; }
    int port = atoi(argv[1]), count = atoi(argv[2]);
    const char *mark = argv[3];
    int length = strlen(mark);
    static char request[65536], buffer[262144];
    ssize_t size = fread(request, 1, sizeof request, stdin);
    struct reader *readers = calloc(count, sizeof *readers);
    double *times = calloc(count, sizeof *times);
    int poller = epoll_create1(0);
    double begun = now();
    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
        if (fd < 0) fail("socket");
        /* A loopback address has 28,000 ports to connect from: take another for each 20,000. */
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + i / 20000)};
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind");
        if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
        if (send(fd, request, size, 0) != size) fail("send");
        fcntl(fd, F_SETFL, O_NONBLOCK);
        readers[i].fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &readers[i]};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
    for (long round = 0;; round++) {
        int told = 0;
        for (int i = 0; i < count; i++)
            if (readers[i].told > round) times[told++] = now();
        while (told < count) {
            struct epoll_event events[512];
            int ready = epoll_wait(poller, events, 512, 60000);
            if (ready == 0) { fprintf(stderr, "readers: %d of %d told in 60 s\n", told, count); return 1; }
            for (int e = 0; e < ready; e++) {
                struct reader *reader = events[e].data.ptr;
                ssize_t got = recv(reader->fd, buffer, sizeof buffer, 0);
                if (got < 0 && errno == EAGAIN) continue;
                if (got <= 0) { fprintf(stderr, "readers: a connection was closed\n"); return 1; }
                for (ssize_t b = 0; b < got; b++) {
                    /* Marks are chosen so that no proper suffix of one begins it. */
                    reader->matched = buffer[b] == mark[reader->matched] ? reader->matched + 1 : buffer[b] == mark[0];
                    if (reader->matched == length) {
                        reader->matched = 0;
                        if (reader->told++ == round) times[told++] = now();
                    }
                }
            }
        }
        if (round == 0) printf("ready %.6f\n", now() - begun);
        else printf("told %.6f %.6f %.6f\n", times[count - 1], times[count / 2], times[count * 99 / 100]);
        if (fflush(stdout)) return 0;
    }
}
