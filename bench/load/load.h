/* What the load programs share: a clock, and connections that never wait. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Nanoseconds of CLOCK_MONOTONIC: the same clock in every process of the machine, so others' stamps can be compared. */
static inline int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Say why on the line that the bench reads, and end: a measurement that went wrong is none. */
static inline void fail(const char *form, ...) {
    va_list rest;
    va_start(rest, form);
    printf("failed ");
    vprintf(form, rest);
    printf("\n");
    fflush(stdout);
    exit(1);
}

/* As many connections as the machine allows: root may go beyond what its shell was given. */
static inline void raise_limit(void) {
    struct rlimit limit = {.rlim_cur = 60000, .rlim_max = 60000};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Begin to connect to 127.0.0.1. A loopback address has some 28,000 ports to connect from, so each 20,000 connections
 * take another one. */
static inline int begin_connect(int port, int number) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0) fail("no socket could be made: %s; raise ulimit -n", strerror(errno));
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001 + number / 20000)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f000001)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0) fail("bind: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    return fd;
}

/* Return the length of the HTTP answer that begins a NUL-terminated buffer, 0 while it is not all there. */
static inline long answer_length(const char *data, long size) {
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    long head = end + 4 - data, length = 0;
    if (!memcmp(data + 9, "304", 3) || !memcmp(data + 9, "204", 3)) return head;
    for (const char *line = data; line < end; line = strstr(line, "\r\n") + 2) {
        if (!strncasecmp(line, "content-length:", 15)) length = atol(line + 15);
        if (!strncasecmp(line, "transfer-encoding: chunked", 26)) {
            const char *last = memmem(end, size - (end - data), "\r\n0\r\n\r\n", 7);
            return last ? last + 7 - data : 0;
        }
    }
    return size >= head + length ? head + length : 0;
}
