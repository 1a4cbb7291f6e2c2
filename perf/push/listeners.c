/* Many WebSockets that take the time: each reads its messages, whose text has the moment it was published, and
 * notes how long ago that was. Pings are answered.
 *
 * usage: listeners PORT SOCKETS < request. Prints "ready" when every socket has got a head. On SIGUSR1 prints
 * "messages p50 p99 max open", the times in microseconds, and begins anew. Ends with the standard output.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STAMP_AT = 7, STAMP_DIGITS = 19, PING = 0x89, PONG = 0x8a };

struct peer {
    int fd;
    unsigned char head[10];
    unsigned have, need;       /* bytes of the head that are here, and that it has */
    uint64_t left, at, stamp;  /* of the payload: bytes to come, bytes seen, its number */
};

static char buffer[1 << 18];
static uint32_t *times;
static size_t count, room;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void note(uint64_t stamp) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (count == room) {
        room = room ? 2 * room : 1 << 20;
        times = realloc(times, room * sizeof *times);
        if (!times) fail("realloc");
    }
    times[count++] = (now.tv_sec * 1000000000ull + now.tv_nsec - stamp) / 1000;
}

static int smaller(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(int open) {
    qsort(times, count, sizeof *times, smaller);
    if (count) {
        printf("%zu %u %u %u %d\n", count, times[count / 2], times[count * 99 / 100], times[count - 1], open);
    } else {
        printf("0 0 0 0 %d\n", open);
    }
    fflush(stdout);
    count = 0;
}

/* A frame is whole: a message is noted, a ping answered. */
static void end_frame(struct peer *peer) {
    if (peer->head[0] == PING) {
        static const unsigned char pong[] = {PONG, 0x80, 0, 0, 0, 0};
        send(peer->fd, pong, sizeof pong, MSG_NOSIGNAL);
    } else if (peer->at >= STAMP_AT + STAMP_DIGITS) {
        note(peer->stamp);
    }
    peer->have = 0;
    peer->need = 2;
}

static void begin_payload(struct peer *peer) {
    unsigned size = peer->head[1] & 127;
    peer->left = size;
    if (size > 125) {
        peer->left = 0;
        for (unsigned i = 2; i < peer->need; i++) peer->left = peer->left << 8 | peer->head[i];
    }
    peer->at = peer->stamp = 0;
    if (!peer->left) end_frame(peer);
}

static void take(struct peer *peer, const unsigned char *data, size_t size) {
    while (size) {
        if (peer->have < peer->need) {
            peer->head[peer->have++] = *data++;
            size--;
            if (peer->have == 2 && (peer->head[1] & 127) > 125)
                peer->need = (peer->head[1] & 127) == 126 ? 4 : 10;
            if (peer->have == peer->need) begin_payload(peer);
            continue;
        }
        size_t part = size < peer->left ? size : peer->left;
        for (size_t i = 0; i < part && peer->at + i < STAMP_AT + STAMP_DIGITS; i++)
            if (peer->at + i >= STAMP_AT) peer->stamp = peer->stamp * 10 + (data[i] - '0');
        peer->at += part;
        peer->left -= part;
        data += part;
        size -= part;
        if (!peer->left) end_frame(peer);
    }
}

static void dial(struct peer *peer, int port, const char *request, size_t size) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t got = 0;
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    peer->need = 2;
    if (connect(peer->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    if (send(peer->fd, request, size, 0) != (ssize_t)size) fail("send");
    do { /* byte by byte, for what follows the head is already a message */
        if (recv(peer->fd, buffer + got, 1, 0) != 1) fail("no head");
        buffer[++got] = 0;
    } while (got < 4 || strcmp(buffer + got - 4, "\r\n\r\n"));
    if (strncmp(buffer, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "refused: %s", buffer);
        exit(1);
    }
}

static void watch(int readers, int fd, struct peer *peer) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    if (epoll_ctl(readers, EPOLL_CTL_ADD, fd, &event)) fail("epoll");
}

int main(int words_count, char **words) {
    if (words_count != 3) return 2;
    int port = atoi(words[1]), sockets = atoi(words[2]), readers = epoll_create1(0), open = sockets;
    struct peer *peers = calloc(sockets, sizeof *peers);
    static char request[4096];
    size_t size = fread(request, 1, sizeof request, stdin);
    sigset_t asked;
    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &asked, NULL);
    int questions = signalfd(-1, &asked, 0);
    watch(readers, questions, NULL);
    for (int i = 0; i < sockets; i++) {
        dial(&peers[i], port, request, size);
        watch(readers, peers[i].fd, &peers[i]);
    }
    puts("ready");
    fflush(stdout);
    while (open) {
        struct epoll_event ready[256];
        int found = epoll_wait(readers, ready, 256, -1);
        for (int i = 0; i < found; i++) {
            struct peer *peer = ready[i].data.ptr;
            if (!peer) {
                struct signalfd_siginfo question;
                if (read(questions, &question, sizeof question) > 0) report(open);
                continue;
            }
            ssize_t got = recv(peer->fd, buffer, sizeof buffer, 0);
            if (got > 0) {
                take(peer, (unsigned char *)buffer, got);
            } else {
                close(peer->fd);
                open--;
            }
        }
    }
    return 0;
}
