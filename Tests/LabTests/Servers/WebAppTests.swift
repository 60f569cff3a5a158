import Lab
import Manifests
import Testing

@Suite("Web apps")
struct WebAppTests {
    private func ask(
        _ target: String, method: String = "GET", headers: [(name: String, value: String)] = [], body: String = "",
        isTLS: Bool = false, app: InternetHost.App = .httpbin
    ) -> (status: Int, body: String, response: WebResponse) {
        let response = app.respond(
            to: WebRequest(
                method: method, target: target, headers: [(name: "host", value: "httpbin.org")] + headers,
                body: Array(body.utf8), isTLS: isTLS, origin: "10.0.0.1"))
        return (response.status, String(decoding: response.body, as: UTF8.self), response)
    }

    @Test("Headers are printed with canonical names, sorted")
    func headers() {
        let body = ask("/headers", headers: [(name: "x-envoy-decorator-operation", value: "httpbin.org:80/*")]).body
        #expect(
            body == """
                {
                  "headers": {
                    "Host": "httpbin.org",
                    "X-Envoy-Decorator-Operation": "httpbin.org:80/*"
                  }
                }

                """)
    }

    @Test("/anything tells the URL with its scheme, the arguments and the body")
    func anything() {
        let body = ask("/anything?a=1&b=x%20y", method: "POST", body: #"{"k": [1]}"#, isTLS: true).body
        #expect(body.contains(#""url": "https://httpbin.org/anything?a=1&b=x%20y""#))
        #expect(body.contains(#""b": "x y""#))
        #expect(body.contains(#""json": {"k": [1]}"#))
        #expect(body.contains(#""method": "POST""#))
    }

    @Test("Status and delay do what their paths say, a delay ten seconds at most")
    func statusAndDelay() {
        #expect(ask("/status/418").status == 418)
        #expect(ask("/status/x").status == 400)
        #expect(ask("/delay/5").response.delayMs == 5000)
        #expect(ask("/delay/5000").response.delayMs == 10_000)
    }

    @Test("Any other path is a page whose title is the host")
    func page() {
        let answer = ask("/wiki/Main_Page")
        #expect(answer.status == 200 && answer.body.contains("<title>httpbin.org</title>"))
        #expect(answer.response.headers.first?.value == "text/html; charset=utf-8")
    }

    @Test("The redirecting app names the same host and path under https")
    func redirect() {
        let answer = ask("/politics?a=1", app: .redirectToHTTPS).response
        #expect(answer.status == 301 && answer.headers.first?.value == "https://httpbin.org/politics?a=1")
    }
}
