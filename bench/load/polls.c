/* Asks for the same thing again and again on kept connections, one request at a time on each.
 *
 *   polls PORT CONNECTIONS SECONDS < request
 *
 * "{number}" in the request is another number in each. Prints one JSON line: answers a second, all answers (with those of
 * the time to warm up), latency (p50, p99, in seconds),
 * how busy this program's processor was (near 1 it is itself what was measured), connections that had to be opened again,
 * and answers that were not 200 or 304.
 */
#include "load.h"

#define BUFFER 65536
#define NUMBER "{number}"
#define LONGEST 1000000 /* microseconds told apart; slower answers count as this slow */

struct connection { int fd; long got; int64_t asked; int open; char data[BUFFER]; };

static int port, poller;
static char request[BUFFER], *number;
static long request_size, asked;

static void open_connection(struct connection *c) {
    c->fd = begin_connect(port, 0);
    c->got = c->open = 0;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void ask(struct connection *c) {
    if (!c->open) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
        c->open = 1;
    }
    if (number) {
        long rest = asked++;
        for (int place = strlen(NUMBER) - 1; place >= 0; place--, rest /= 10) number[place] = '0' + rest % 10;
    }
    c->got = 0;
    c->asked = now();
    if (send(c->fd, request, request_size, MSG_NOSIGNAL) != request_size) fail("a request could not be sent");
}

static double busy(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double percentile(const long *histogram, long total, double share) {
    long seen = 0;
    for (long us = 0; us <= LONGEST; us++)
        if ((seen += histogram[us]) >= share * total) return us / 1e6;
    return LONGEST / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: polls PORT CONNECTIONS SECONDS < request\n"); return 2; }
    port = atoi(argv[1]);
    int count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    request_size = fread(request, 1, sizeof request - 1, stdin);
    number = strstr(request, NUMBER);
    static long histogram[LONGEST + 1];
    long answers = 0, all = 0, refused = 0, reopened = 0;
    struct connection *connections = calloc(count, sizeof *connections);
    poller = epoll_create1(0);
    for (int i = 0; i < count; i++) open_connection(&connections[i]);

    /* A fifth of the time warms up and is not counted. */
    int64_t begin = now() + seconds * 0.2e9, end = now() + seconds * 1.2e9, time;
    double busy_before = -1;
    while ((time = now()) < end) {
        if (busy_before < 0 && time >= begin) busy_before = busy();
        struct epoll_event events[256];
        int ready = epoll_wait(poller, events, 256, 100);
        for (int e = 0; e < ready; e++) {
            struct connection *c = events[e].data.ptr;
            if (!c->open) { ask(c); continue; }
            ssize_t got = recv(c->fd, c->data + c->got, BUFFER - 1 - c->got, 0);
            if (got < 0 && errno == EAGAIN) continue;
            if (got <= 0) { close(c->fd); open_connection(c); reopened++; continue; }
            c->data[c->got += got] = 0;
            if (!answer_length(c->data, c->got)) {
                if (c->got == BUFFER - 1) fail("an answer is longer than %d bytes", BUFFER);
                continue;
            }
            int64_t told = now();
            all++;
            if (told >= begin) {
                long us = (told - c->asked) / 1000;
                histogram[us < LONGEST ? us : LONGEST]++;
                answers++;
                refused += memcmp(c->data + 9, "200", 3) && memcmp(c->data + 9, "304", 3);
            }
            ask(c);
        }
    }
    double took = (now() - begin) / 1e9;
    printf("{\"rate\": %.1f, \"all\": %ld, \"p50\": %.6f, \"p99\": %.6f, \"client\": %.3f, \"reopened\": %ld, \"refused\": %ld}\n",
           answers / took, all, percentile(histogram, answers, 0.5), percentile(histogram, answers, 0.99),
           (busy() - busy_before) / took, reopened, refused);
    return 0;
}
