/* The least a fan-out can cost: accepts sockets, answers each request with a head, and then sends one frame to
 * every socket, back to back, waiting only where the kernel takes no more.
 *
 * usage: floor SOCKETS. Prints the port; then for each line "BROADCASTS BYTES PAUSE_US" of the standard input
 * does so many broadcasts and prints the seconds of CPU they took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static int listen_anywhere(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static int greet(int listener) {
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    char request[4096];
    size_t got = 0;
    int on = 1, peer = accept(listener, NULL, NULL);
    if (peer < 0) fail("accept");
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    do {
        ssize_t count = recv(peer, request + got, sizeof request - got - 1, 0);
        if (count <= 0) fail("recv");
        got += count;
        request[got] = 0;
    } while (!strstr(request, "\r\n\r\n"));
    if (send(peer, head, sizeof head - 1, 0) < 0) fail("send");
    return peer;
}

static void send_all(int peer, const char *data, size_t size) {
    while (size) {
        ssize_t count = send(peer, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            data += count;
            size -= count;
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = peer, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else {
            fail("send");
        }
    }
}

int main(int count, char **words) {
    int sockets = count > 1 ? atoi(words[1]) : 1000;
    int *peers = calloc(sockets, sizeof *peers);
    int listener = listen_anywhere();
    for (int i = 0; i < sockets; i++) peers[i] = greet(listener);
    int broadcasts, bytes, pause;
    while (scanf("%d %d %d", &broadcasts, &bytes, &pause) == 3) {
        char *frame = calloc(1, bytes);
        double before = cpu();
        for (int n = 0; n < broadcasts; n++) {
            for (int i = 0; i < sockets; i++) send_all(peers[i], frame, bytes);
            if (pause) usleep(pause);
        }
        printf("%f\n", cpu() - before);
        fflush(stdout);
        free(frame);
    }
    return 0;
}
