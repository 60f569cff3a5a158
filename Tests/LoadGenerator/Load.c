#include "LoadGenerator.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVED_MAX = 4096, DEADLINE_SECONDS = 10 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/// A socket that resets at close: no port stays in TIME_WAIT.
static int make_socket(int flags) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (descriptor < 0) return -1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

static int connect_blocking(const struct sockaddr_in *target) {
    int descriptor = make_socket(0);
    if (descriptor < 0) return -1;
    struct timeval limit = {.tv_sec = DEADLINE_SECONDS};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(descriptor, (const struct sockaddr *)target, sizeof *target) < 0) {
        int number = errno;
        close(descriptor);
        errno = number;
        return -1;
    }
    return descriptor;
}

/// 1 if the answer so far is whole.
static int is_complete(const struct load_exchange *exchange, const char *bytes, size_t count) {
    if (exchange->ending_length == 0) return count > 0;
    return count >= exchange->ending_length &&
           memcmp(bytes + count - exchange->ending_length, exchange->ending, exchange->ending_length) == 0;
}

// MARK: Many connections at once

/// Connections in progress, told apart by their index.
struct slot {
    int descriptor;
    size_t received;
    char bytes[RECEIVED_MAX];
};

static int begin_connect(int epoll, struct slot *slot, uint32_t index, const struct load_exchange *exchange) {
    slot->received = 0;
    slot->descriptor = make_socket(SOCK_NONBLOCK);
    if (slot->descriptor < 0) return -1;
    const struct sockaddr *target = (const struct sockaddr *)&exchange->target;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = index};
    if ((connect(slot->descriptor, target, sizeof exchange->target) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, slot->descriptor, &event) < 0) {
        close(slot->descriptor);
        slot->descriptor = -1;
        return -1;
    }
    return 0;
}

/// Returns 1 when the answer is whole, 0 while it is not, -1 when the connection is broken.
static int receive(struct slot *slot, const struct load_exchange *exchange) {
    for (;;) {
        ssize_t count = recv(slot->descriptor, slot->bytes + slot->received, RECEIVED_MAX - slot->received, 0);
        if (count < 0 && errno == EAGAIN) return 0;
        if (count <= 0) return -1;
        slot->received += (size_t)count;
        if (is_complete(exchange, slot->bytes, slot->received)) return 1;
        if (slot->received == RECEIVED_MAX) return -1;
    }
}

/// One phase: `keeps` repeats on the same connection. Ends at `deadline`, or after `limit` exchanges.
static struct load_result run(
    const struct load_exchange *exchange, int slots, int keeps, double duration, uint64_t limit) {
    struct load_result result = {0};
    struct slot *table = calloc((size_t)slots, sizeof *table);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (table == NULL || epoll < 0) {
        result.failed = 1;
        free(table);
        return result;
    }
    double start = now();
    double last = start;
    uint64_t begun = 0;
    for (int i = 0; i < slots; i++, begun++) {
        if (begin_connect(epoll, &table[i], (uint32_t)i, exchange) < 0) result.failed++;
    }
    struct epoll_event events[256];
    double current = start;
    while (current - start < duration && result.completed < limit && result.failed < 1000) {
        int count = epoll_wait(epoll, events, 256, 1000);
        current = now();
        if (count > 0) last = current;
        // Whoever answers nothing for so long has failed.
        if (current - last > DEADLINE_SECONDS) {
            result.failed++;
            break;
        }
        for (int i = 0; i < count; i++) {
            uint32_t index = events[i].data.u32;
            struct slot *slot = &table[index];
            int outcome = 0;
            if (events[i].events & EPOLLIN) {
                outcome = receive(slot, exchange);
                if (outcome == 1) result.completed++;
                if (outcome == 1 && keeps) slot->received = 0;
            } else if (events[i].events & (EPOLLERR | EPOLLHUP)) {
                outcome = -1;
            }
            if (outcome < 0) result.failed++;
            int sends = outcome == 0 ? (events[i].events & (EPOLLIN | EPOLLOUT)) == EPOLLOUT : outcome == 1 && keeps;
            if (sends) {
                if (send(slot->descriptor, exchange->request, exchange->request_length, MSG_NOSIGNAL) < 0) {
                    result.failed++;
                    outcome = -1;
                }
            } else if (outcome == 1 && !keeps) {
                outcome = -1;
            }
            if (outcome < 0) {
                close(slot->descriptor);
                slot->descriptor = -1;
                if (begun < limit && begin_connect(epoll, slot, index, exchange) < 0) result.failed++;
                begun++;
            }
        }
    }
    result.seconds = current - start;
    for (int i = 0; i < slots; i++) {
        if (table[i].descriptor > 0) close(table[i].descriptor);
    }
    close(epoll);
    free(table);
    return result;
}

struct load_result load_connections(const struct load_exchange *exchange, int in_flight, double seconds) {
    return run(exchange, in_flight, 0, seconds, UINT64_MAX);
}

struct load_result load_connections_counted(const struct load_exchange *exchange, int in_flight, uint64_t count) {
    return run(exchange, in_flight, 0, 1e9, count);
}

struct load_result load_requests(const struct load_exchange *exchange, int connections, double seconds) {
    return run(exchange, connections, 1, seconds, UINT64_MAX);
}

// MARK: One after the other

int load_exchange_once(const struct load_exchange *exchange, int descriptor) {
    char bytes[RECEIVED_MAX];
    size_t received = 0;
    if (send(descriptor, exchange->request, exchange->request_length, MSG_NOSIGNAL) < 0) return -1;
    do {
        ssize_t count = recv(descriptor, bytes + received, sizeof bytes - received, 0);
        if (count < 0) return -1;
        if (count == 0) {
            errno = ECONNRESET;
            return -1;
        }
        received += (size_t)count;
    } while (!is_complete(exchange, bytes, received) && received < sizeof bytes);
    return 0;
}

int load_try(const struct load_exchange *exchange) {
    int descriptor = connect_blocking(&exchange->target);
    if (descriptor < 0) return -1;
    int result = load_exchange_once(exchange, descriptor);
    int number = errno;
    close(descriptor);
    errno = number;
    return result;
}

int load_latencies(const struct load_exchange *exchange, int kept, double *microseconds, int count) {
    int descriptor = kept ? connect_blocking(&exchange->target) : -1;
    if (kept && (descriptor < 0 || load_exchange_once(exchange, descriptor) < 0)) return -1;
    int result = 0;
    for (int i = 0; i < count && result == 0; i++) {
        double start = now();
        result = kept ? load_exchange_once(exchange, descriptor) : load_try(exchange);
        microseconds[i] = (now() - start) * 1e6;
    }
    if (kept) close(descriptor);
    return result;
}

struct load_result load_throughput(const struct sockaddr_in *target, double seconds) {
    struct load_result result = {0};
    size_t size = 262144;
    char *buffer = malloc(size);
    int descriptor = connect_blocking(target);
    if (buffer == NULL || descriptor < 0) {
        result.failed = 1;
        free(buffer);
        return result;
    }
    double start = now();
    while ((result.seconds = now() - start) < seconds) {
        ssize_t count = recv(descriptor, buffer, size, 0);
        if (count <= 0) {
            result.failed = 1;
            break;
        }
        result.completed += (uint64_t)count;
    }
    close(descriptor);
    free(buffer);
    return result;
}

int load_open(const struct load_exchange *exchange, int *descriptors, int count) {
    for (int i = 0; i < count; i++) {
        descriptors[i] = connect_blocking(&exchange->target);
        if (descriptors[i] < 0) return i;
        if (load_exchange_once(exchange, descriptors[i]) < 0) {
            close(descriptors[i]);
            return i;
        }
    }
    return count;
}
