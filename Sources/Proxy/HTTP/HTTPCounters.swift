/// The counters under `http.PREFIX.`.
final class HTTPCounters {
    let connections: Counter
    let requests: Counter
    let noRoute: Counter
    let responses: ResponseCounters
    let directResponses: Counter
    let delaysInjected: Counter
    let abortsInjected: Counter
    let originValid: Counter
    let originInvalid: Counter
    let idleTimeouts: Counter

    init(_ statistics: ProxyStatistics, prefix: String) {
        connections = statistics.counter("http.\(prefix).downstream_cx_total")
        requests = statistics.counter("http.\(prefix).downstream_rq_total")
        noRoute = statistics.counter("http.\(prefix).no_route")
        responses = ResponseCounters(statistics, prefix: "http.\(prefix).downstream_rq_", countsCodes: false)
        directResponses = statistics.counter("http.\(prefix).rq_direct_response")
        delaysInjected = statistics.counter("http.\(prefix).fault.delays_injected")
        abortsInjected = statistics.counter("http.\(prefix).fault.aborts_injected")
        originValid = statistics.counter("http.\(prefix).cors.origin_valid")
        originInvalid = statistics.counter("http.\(prefix).cors.origin_invalid")
        idleTimeouts = statistics.counter("http.\(prefix).downstream_cx_idle_timeout")
    }
}
