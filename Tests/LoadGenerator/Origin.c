#include "LoadGenerator.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// What a descriptor is, kept beside it in the event.
enum role { LISTEN_ANSWER, LISTEN_HTTP, LISTEN_FLOOD, SERVE_ANSWER, SERVE_HTTP, SERVE_FLOOD };

static const char response[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 24\r\nContent-Type: text/plain\r\n\r\n" LOAD_HTTP_BODY;

static int watch(int epoll, int descriptor, enum role role) {
    struct epoll_event event = {.events = role == SERVE_FLOOD ? EPOLLOUT : EPOLLIN};
    event.data.u64 = (uint64_t)role << 32 | (uint32_t)descriptor;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static int add_listener(int epoll, uint16_t port, enum role role) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    int one = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0 || listen(descriptor, 4096) < 0 ||
        watch(epoll, descriptor, role) < 0) {
        int number = errno;
        close(descriptor);
        errno = number;
        return -1;
    }
    return 0;
}

int load_origin_listen(struct load_ports ports) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) return -1;
    if (add_listener(epoll, ports.answer, LISTEN_ANSWER) < 0 || add_listener(epoll, ports.sni, LISTEN_ANSWER) < 0 ||
        add_listener(epoll, ports.http, LISTEN_HTTP) < 0 || add_listener(epoll, ports.flood, LISTEN_FLOOD) < 0)
        return -1;
    return epoll;
}

/// Requests come whole: every proxy sends such short ones with one write.
static int answer_requests(int descriptor, const char *bytes, ssize_t count) {
    const char *end = bytes + count;
    while ((bytes = memmem(bytes, (size_t)(end - bytes), "\r\n\r\n", 4)) != NULL) {
        bytes += 4;
        if (send(descriptor, response, sizeof response - 1, MSG_NOSIGNAL) < 0) return -1;
    }
    return 0;
}

/// Returns -1 when the connection is over.
static int serve(int descriptor, enum role role) {
    static char buffer[131072];
    if (role == SERVE_FLOOD) {
        ssize_t sent = send(descriptor, buffer, sizeof buffer, MSG_NOSIGNAL);
        return sent < 0 && errno != EAGAIN ? -1 : 0;
    }
    ssize_t count = recv(descriptor, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count <= 0) return -1;
    if (role == SERVE_HTTP) return answer_requests(descriptor, buffer, count);
    return send(descriptor, "!", 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int load_origin_serve(int epoll) {
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return -1;
        for (int i = 0; i < count; i++) {
            int descriptor = (int)(uint32_t)events[i].data.u64;
            enum role role = (enum role)(events[i].data.u64 >> 32);
            if (role <= LISTEN_FLOOD) {
                int accepted;
                while ((accepted = accept4(descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                    if (watch(epoll, accepted, role + 3) < 0) close(accepted);
                }
            } else if (serve(descriptor, role) < 0) {
                close(descriptor);
            }
        }
    }
}
