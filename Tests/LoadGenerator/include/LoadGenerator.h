#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/// What a load phase has done.
struct load_result {
    /// Connections, requests or bytes, as the phase counts.
    uint64_t completed;
    /// Connections that ended otherwise than they should.
    uint64_t failed;
    double seconds;
};

/// Where an exchange goes, what is sent, and with which bytes the answer ends (for an `ending_length` of 0: any).
struct load_exchange {
    struct sockaddr_in target;
    const void *request;
    size_t request_length;
    const void *ending;
    size_t ending_length;
};

/// The ports of an origin.
struct load_ports {
    /// Answers whatever one read brings with one byte.
    uint16_t answer;
    /// The same under another port, which proxies choose by the server name.
    uint16_t sni;
    /// Answers each request without body by `LOAD_HTTP_BODY`, keeping the connection.
    uint16_t http;
    /// Sends as much as is taken.
    uint16_t flood;
};

#define LOAD_HTTP_BODY "twenty-four bytes, exact"

/// Makes the listeners of an origin in the calling thread's network namespace; returns its handle, or -1 with errno.
int load_origin_listen(struct load_ports ports);

/// Serves an origin's connections; returns only when the kernel refuses to wait, -1 with errno.
int load_origin_serve(int origin);

/// Makes connections for a time, `in_flight` at once: connect, send, receive the answer, reset.
struct load_result load_connections(const struct load_exchange *exchange, int in_flight, double seconds);

/// Makes `count` connections, however long it takes, as `load_connections` does.
struct load_result load_connections_counted(const struct load_exchange *exchange, int in_flight, uint64_t count);

/// Repeats the exchange for a time on each of `connections` kept connections.
struct load_result load_requests(const struct load_exchange *exchange, int connections, double seconds);

/// Takes what a `flood` port sends on one connection, for a time; counts bytes.
struct load_result load_throughput(const struct sockaddr_in *target, double seconds);

/// Times `count` exchanges one after the other, in microseconds: on one connection if `kept`, else each on its own,
/// connecting included. Returns 0, or -1 with errno.
int load_latencies(const struct load_exchange *exchange, int kept, double *microseconds, int count);

/// Opens connections, one exchange on each, and leaves them open. Returns how many it could open.
int load_open(const struct load_exchange *exchange, int *descriptors, int count);

/// One exchange on an open connection. Returns 0, or -1 with errno.
int load_exchange_once(const struct load_exchange *exchange, int descriptor);

/// One exchange on a connection of its own. Returns 0, or -1 with errno.
int load_try(const struct load_exchange *exchange);
