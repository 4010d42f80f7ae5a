/* Holds very many readers of one server, and measures when each is told what was published.
 *
 *   readers PORT PUBLISH_PORT KIND FIRST NEXT PUBLISH [BEFORE AFTER]...
 *
 * KIND      sse, websocket, socketio (Engine.IO 4 over WebSocket) or poll (long polls)
 * FIRST     a reader's request; {i} in it stands for the reader's number
 * NEXT      poll: what it asks with after an answer; {0}, {1} stand for what it found between each BEFORE and AFTER
 * PUBLISH   the request that publishes; its STAMP is replaced by the time at which it is sent
 *
 * A STAMP is "@T" and 20 digits: nanoseconds of the machine's monotonic clock. Every event carries one as text, so a
 * delivery is recognised, and timed, whatever a server has wrapped around it. Commands come one a line on standard
 * input, each is answered by one line:
 *
 *   open N             connect N more readers
 *   ready SECONDS      publish until each has been told something: then all are subscribed
 *   round SECONDS      publish once; "round FIRST P50 P99 LAST" in seconds, when all have been told
 *   watch N SECONDS    "watch FIRST P50 P99 LAST" of the next N deliveries, whoever publishes
 *
 * A command that cannot be done is answered "failed WHY", and the program ends.
 */
#include "load.h"
#include <ctype.h>

#define DIGITS 20
#define STAMP "@T00000000000000000000"
#define MOST_CAPTURES 4
#define PUBLISH_AGAIN 1000000000LL

enum kind { SSE, WEBSOCKET, SOCKETIO, POLL, PUBLISHER };

struct reader {
    int fd, number;
    enum kind kind;
    char open, heard, in_frames, matched, opcode;
    char ping[125];                /* its payload, which goes back */
    int ping_size;
    uint8_t header[14];            /* of a frame, as far as it has come in */
    int header_size;
    uint64_t frame_left, stamp;    /* stamp: the digits read so far */
    uint64_t told;                 /* the last stamp it was told */
    char *pending;                 /* poll: an answer that has not all come in, or the request that follows it */
    long pending_size;
};

static int port, publish_port, poller, captures;
static enum kind kind;
static const char *first_request, *next_request, *before[MOST_CAPTURES], *after[MOST_CAPTURES];
static char *publish_request, *publish_stamp;
static struct reader **readers, publisher = {.fd = -1, .kind = PUBLISHER};
static int count, heard, told_once, silent;
static struct reader **returning;  /* poll: who has been answered, and has not asked again */
static int returning_count;
static uint64_t expected;          /* the stamp that counts; 0: any does */
static int64_t *delays, last_heard;
static int delivered, wanted;
static int64_t moment;             /* when the bytes at hand came in */

static void connect_reader(struct reader *r) {
    r->fd = begin_connect(r->kind == PUBLISHER ? publish_port : port, r->number);
    r->open = r->in_frames = r->matched = 0;
    r->header_size = 0;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = r};
    epoll_ctl(poller, EPOLL_CTL_ADD, r->fd, &event);
}

static void send_all(struct reader *r, const char *data, long size) {
    if (send(r->fd, data, size, MSG_NOSIGNAL) != size) fail("reader %d could not send: %s", r->number, strerror(errno));
}

static void send_frame(struct reader *r, int opcode, const char *data, int size) {
    char frame[6 + 125] = {(char)(0x80 | opcode), (char)(0x80 | size)}; /* masked by zero: the payload stays as it is */
    memcpy(frame + 6, data, size);
    send_all(r, frame, 6 + size);
}

/* Send the first request, the reader's number put in. */
static void send_first(struct reader *r) {
    char request[8192];
    const char *place = strstr(first_request, "{i}");
    int size = place ? snprintf(request, sizeof request, "%.*s%d%s", (int)(place - first_request), first_request,
                                r->number, place + 3)
                     : snprintf(request, sizeof request, "%s", first_request);
    send_all(r, request, size);
}

static void publish(void) {
    if (publisher.fd >= 0) close(publisher.fd);
    connect_reader(&publisher);
}

static void opened(struct reader *r) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = r};
    epoll_ctl(poller, EPOLL_CTL_MOD, r->fd, &event);
    r->open = 1;
    if (r->kind == PUBLISHER) {
        char stamp[DIGITS + 1];
        snprintf(stamp, sizeof stamp, "%0*lld", DIGITS, (long long)(expected = now()));
        memcpy(publish_stamp, stamp, DIGITS);
        send_all(r, publish_request, strlen(publish_request));
    } else if (!r->pending) {
        send_first(r);
    } else { /* a poll that goes on, on a new connection */
        send_all(r, r->pending, r->pending_size);
        free(r->pending);
        r->pending = NULL;
    }
}

static void told(struct reader *r, uint64_t stamp) {
    if (!r->told) told_once++;
    if (r->told != stamp && delivered < wanted && (!expected || stamp == expected)) {
        delays[delivered++] = moment - (int64_t)stamp;
    }
    r->told = stamp;
}

/* Look for stamps in bytes, which may begin or end anywhere in one. */
static void scan(struct reader *r, const char *data, long size) {
    for (const char *end = data + size; data < end; data++) {
        if (r->matched == 0) {
            data = memchr(data, '@', end - data);
            if (!data) return;
            r->matched = 1;
        } else if (r->matched == 1 ? *data == 'T' : isdigit((unsigned char)*data)) {
            r->stamp = r->matched == 1 ? 0 : r->stamp * 10 + (*data - '0');
            if (++r->matched == 2 + DIGITS) {
                r->matched = 0;
                told(r, r->stamp);
            }
        } else {
            r->matched = *data == '@';
        }
    }
}

/* Take frames of a server, which are not masked (RFC 6455 §5.2), and answer what must be answered. */
static void frames(struct reader *r, const char *data, long size) {
    while (size > 0) {
        if (r->frame_left == 0) {
            r->header[r->header_size++] = *data++;
            size--;
            int length = r->header_size < 2 ? 0 : r->header[1] & 127;
            int needed = length < 126 ? 2 : length == 126 ? 4 : 10;
            if (r->header_size < needed) continue;
            r->frame_left = needed == 2 ? length : 0;
            for (int i = 2; i < needed; i++) r->frame_left = r->frame_left << 8 | r->header[i];
            r->opcode = r->header[0] & 15;
            r->header_size = 0;
            if (r->opcode == 8) fail("a server closed a socket");
            r->ping_size = 0;
            if (r->opcode == 9 && r->frame_left == 0) send_frame(r, 10, "", 0);
            /* Engine.IO: 0 opens, 40 asks for the namespace; 2 pings, 3 answers. */
            if (r->kind == SOCKETIO && r->opcode == 1 && size > 0 && *data == '0') send_frame(r, 1, "40", 2);
            if (r->kind == SOCKETIO && r->opcode == 1 && size > 0 && *data == '2') send_frame(r, 1, "3", 1);
            continue;
        }
        long part = (uint64_t)size < r->frame_left ? size : (long)r->frame_left;
        r->frame_left -= part;
        if (r->opcode <= 2) scan(r, data, part);
        if (r->opcode == 9 && r->ping_size + part <= (long)sizeof r->ping) {
            memcpy(r->ping + r->ping_size, data, part);
            r->ping_size += part;
            if (r->frame_left == 0) send_frame(r, 10, r->ping, r->ping_size);
        }
        data += part;
        size -= part;
    }
}

/* Put what was found in an answer into the next request. */
static long fill_next(char *request, long room, const char *answer) {
    char *to = request;
    for (const char *from = next_request; *from;) {
        int which = from[0] == '{' && from[1] && from[2] == '}' ? from[1] - '0' : -1;
        if (which < 0 || which >= captures) { *to++ = *from++; continue; }
        const char *begin = strstr(answer, before[which]);
        if (!begin) fail("an answer has no %s in it: %.300s", before[which], answer);
        begin += strlen(before[which]);
        const char *end = strstr(begin, after[which]);
        if (!end || end - begin > room / 4) fail("an answer has no end of %s", before[which]);
        memcpy(to, begin, end - begin);
        to += end - begin;
        from += 3;
    }
    return to - request;
}

/* Ask again, some of those who have been answered. Not as they are told: it costs this program more than being told
 * does, and those who are told next would be measured by it. */
static void ask_again(int most) {
    while (returning_count && most--) {
        struct reader *r = returning[--returning_count];
        if (!r->open) {
            connect_reader(r);
        } else {
            char *request = r->pending;
            r->pending = NULL;
            send_all(r, request, r->pending_size);
            free(request);
        }
    }
}

/* Take bytes of an answer to a long poll; when it is whole, note what is to be asked next. */
static void answers(struct reader *r, char *data, long size) {
    if (r->pending) {
        r->pending = realloc(r->pending, r->pending_size + size + 1);
        memcpy(r->pending + r->pending_size, data, size + 1);
        data = r->pending;
        size = r->pending_size += size;
    }
    if (!answer_length(data, size)) {
        if (!r->pending) {
            r->pending = malloc(size + 1);
            memcpy(r->pending, data, size + 1);
            r->pending_size = size;
        }
        return;
    }
    scan(r, data, size);
    char request[8192];
    long length = fill_next(request, sizeof request, data);
    *(strstr(data, "\r\n\r\n") + 2) = 0; /* the head alone */
    if (strcasestr(data, "connection: close")) {
        close(r->fd);
        r->open = 0;
    }
    free(r->pending);
    r->pending = malloc(length);
    memcpy(r->pending, request, r->pending_size = length);
    returning[returning_count++] = r;
}

static void received(struct reader *r) {
    static char buffer[262144];
    ssize_t got = recv(r->fd, buffer, sizeof buffer - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 && r->kind == PUBLISHER) { close(r->fd); r->fd = -1; return; }
    if (got <= 0) fail("reader %d was cut off%s%s", r->number, got ? ": " : "", got ? strerror(errno) : "");
    buffer[got] = 0;
    last_heard = moment = now();
    if (!r->heard) r->heard = 1, heard += r->kind != PUBLISHER;
    const char *good = r->kind == WEBSOCKET || r->kind == SOCKETIO ? " 101" : " 20";
    if (!strncmp(buffer, "HTTP/1.", 7) && strncmp(buffer + 8, good, strlen(good)))
        fail("reader %d was answered %.*s", r->number, (int)strcspn(buffer, "\r\n"), buffer);
    char *data = buffer;
    switch (r->kind) {
    case PUBLISHER: return;
    case SSE: scan(r, buffer, got); return;
    case POLL: answers(r, buffer, got); return;
    default:
        if (!r->in_frames) {
            /* The head of a handshake comes in one piece: it is a few hundred bytes, the first on its connection. */
            data = memmem(buffer, got, "\r\n\r\n", 4);
            if (!data) fail("reader %d got a head in pieces", r->number);
            data += 4;
            r->in_frames = 1;
        }
        frames(r, data, got - (data - buffer));
    }
}

/* Serve connections for some milliseconds; return whether a command is waiting. */
static int turn(int milliseconds) {
    struct epoll_event events[512];
    int ready = epoll_wait(poller, events, 512, returning_count ? 0 : milliseconds), command = 0;
    if (!ready) ask_again(16);
    for (int e = 0; e < ready; e++) {
        struct reader *r = events[e].data.ptr;
        if (!r) command = 1;
        else if (events[e].events & EPOLLOUT) opened(r);
        else received(r);
    }
    return command;
}

static int ascending(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

static void collect(const char *name, int number, double seconds) {
    int64_t end = now() + seconds * 1e9;
    while (delivered < number) {
        if (now() > end) fail("%d of %d were told within %g s", delivered, number, seconds);
        turn(100);
    }
    wanted = 0;
    qsort(delays, number, sizeof *delays, ascending);
    printf("%s %.9f %.9f %.9f %.9f\n", name, delays[0] / 1e9, delays[(number - 1) / 2] / 1e9,
           delays[(number - 1) * 99 / 100] / 1e9, delays[number - 1] / 1e9);
}

/* Wait until all have connected anew, who were answered: a server that drops connections when its backlog overflows is
 * at rest between their tries, and would be taken for one that is ready. */
static void come_back(double seconds) {
    int64_t end = now() + seconds * 1e9;
    for (int waiting = 1; waiting; turn(20)) {
        waiting = returning_count;
        for (int i = 0; i < count; i++) waiting += !readers[i]->open;
        if (waiting && now() > end) fail("%d of %d could not connect anew within %g s", waiting, count, seconds);
    }
}

static void begin_collecting(int number) {
    delays = realloc(delays, number * sizeof *delays);
    delivered = 0;
    wanted = number;
}

static void open_readers(int number) {
    readers = realloc(readers, (count + number) * sizeof *readers);
    returning = realloc(returning, (count + number) * sizeof *returning);
    for (int i = 0; i < number; i++) {
        struct reader *r = readers[count] = calloc(1, sizeof *r);
        r->kind = kind;
        r->number = count++;
        connect_reader(r);
        /* A backlog that overflows drops connections, or resets them. So wait for answers to most of them; or for a
         * moment, where a server answers nothing before there is an event. */
        if (i % 64 == 63) {
            for (int64_t since = now(); count - heard > 256 && now() - since < (silent ? 100 : 5000) * 1000000LL;) {
                turn(5);
                silent |= !heard && now() - since > 100 * 1000000LL;
            }
        }
    }
    for (int waiting = 1; waiting;) {
        turn(20);
        waiting = 0;
        for (int i = count - number; i < count; i++) waiting |= !readers[i]->open;
    }
    printf("open %d\n", count);
}

/* Publish until all have been told: some servers answer a reader before it is subscribed, and some not before an event. */
static void wait_until_ready(double seconds) {
    int64_t end = now() + seconds * 1e9, begun = now();
    last_heard = 0;
    while (told_once < count) {
        if (now() > end) fail("%d of %d readers were ready within %g s", told_once, count, seconds);
        if (now() - last_heard > PUBLISH_AGAIN) { publish(); last_heard = now(); }
        turn(100);
    }
    while (now() - last_heard < PUBLISH_AGAIN / 4) turn(50); /* what was published twice comes in */
    double took = (now() - begun) / 1e9;
    come_back(seconds);
    printf("ready %.6f\n", took);
}

int main(int argc, char **argv) {
    static const char *kinds[] = {"sse", "websocket", "socketio", "poll"};
    if (argc < 7) { fprintf(stderr, "usage: readers PORT PUBLISH_PORT KIND FIRST NEXT PUBLISH [BEFORE AFTER]...\n"); return 2; }
    port = atoi(argv[1]), publish_port = atoi(argv[2]);
    for (kind = SSE; kind < PUBLISHER && strcmp(argv[3], kinds[kind]); kind++) {}
    if (kind == PUBLISHER) fail("no kind %s", argv[3]);
    first_request = argv[4], next_request = argv[5], publish_request = argv[6];
    publish_stamp = strstr(publish_request, STAMP);
    if (!publish_stamp) fail("no %s in PUBLISH", STAMP);
    publish_stamp += 2;
    for (int i = 7; i + 1 < argc && captures < MOST_CAPTURES; i += 2, captures++)
        before[captures] = argv[i], after[captures] = argv[i + 1];
    raise_limit();
    poller = epoll_create1(0);
    struct epoll_event commands = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &commands);
    static char line[256];
    for (int number; !fflush(stdout);) {
        double seconds;
        while (!turn(-1)) {}
        if (!fgets(line, sizeof line, stdin)) return 0;
        if (sscanf(line, "open %d", &number) == 1) open_readers(number);
        else if (sscanf(line, "ready %lf", &seconds) == 1) wait_until_ready(seconds);
        else if (sscanf(line, "round %lf", &seconds) == 1) {
            begin_collecting(count);
            expected = UINT64_MAX; /* none, until it is published */
            publish();
            collect("round", count, seconds);
            come_back(seconds);
        } else if (sscanf(line, "watch %d %lf", &number, &seconds) == 2) {
            begin_collecting(number);
            expected = 0;
            collect("watch", number, seconds);
        } else fail("no command %s", line);
    }
    return 1;
}
