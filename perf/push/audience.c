/* Many sockets that read: connects, sends each the request of the standard input's rest, and counts bytes.
 *
 * usage: audience PORT SOCKETS < request. Prints "ready" when every socket has got a head, and reads until
 * the server closes or it is killed.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 18];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int dial(int port, const char *request, size_t size) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t got = 0;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(peer, (struct sockaddr *)&address, sizeof address)) fail("connect");
    if (send(peer, request, size, 0) != (ssize_t)size) fail("send");
    do {
        ssize_t count = recv(peer, buffer + got, sizeof buffer - got - 1, 0);
        if (count <= 0) fail("no head");
        got += count;
        buffer[got] = 0;
    } while (!strstr(buffer, "\r\n\r\n"));
    return peer;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    int port = atoi(words[1]), sockets = atoi(words[2]), readers = epoll_create1(0);
    static char request[4096];
    size_t size = fread(request, 1, sizeof request, stdin);
    for (int i = 0; i < sockets; i++) {
        struct epoll_event event = {.events = EPOLLIN};
        event.data.fd = dial(port, request, size);
        if (epoll_ctl(readers, EPOLL_CTL_ADD, event.data.fd, &event)) fail("epoll");
    }
    puts("ready");
    fflush(stdout);
    for (int open = sockets; open;) {
        struct epoll_event ready[256];
        int found = epoll_wait(readers, ready, 256, -1);
        for (int i = 0; i < found; i++) {
            if (recv(ready[i].data.fd, buffer, sizeof buffer, 0) <= 0) {
                close(ready[i].data.fd);
                open--;
            }
        }
    }
    return 0;
}
