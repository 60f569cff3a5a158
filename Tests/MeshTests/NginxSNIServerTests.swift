import NetworkAddresses
import Testing

@testable import Mesh

@Suite struct NginxSNIServerTests {
    private static let document = """
        # setup custom path that do not require root access
        pid /tmp/nginx.pid;
        events {
        }
        stream {
          log_format log_stream '$remote_addr [$time_local] $protocol [$ssl_preread_server_name]'
          '$status $bytes_sent $bytes_received $session_time';
          access_log /var/log/nginx/access.log log_stream;
          # tcp forward proxy by SNI
          server {
            resolver 8.8.8.8 ipv6=off;
            listen       127.0.0.1:8443;
            proxy_pass   $ssl_preread_server_name:443;
            ssl_preread  on;
          }
        }
        """

    @Test("the document's forward proxy is found in its nginx.conf")
    func document() throws {
        let server = try NginxSNIServer(readingConfiguration: Self.document)
        #expect(server.listen.map(\.description) == ["127.0.0.1:8443"])
        #expect(server.port == 443)
        #expect(server.nameservers.map(\.description) == ["8.8.8.8:53"])
        #expect(server.families == [.ipv4])
    }

    @Test("what a server does not say itself it has from the stream block")
    func inheritance() throws {
        let server = try NginxSNIServer(
            readingConfiguration: """
                stream { resolver 10.96.0.10:5353 [2001:db8::1]; ssl_preread on;
                  server { listen 9000; proxy_pass 127.0.0.1:1; }
                  server { listen [::1]:8443; listen *:8444; proxy_pass $ssl_preread_server_name:8443; } }
                """)
        #expect(server.listen.map(\.description) == ["[::1]:8443", "0.0.0.0:8444"])
        #expect(server.port == 8443)
        #expect(server.nameservers.map(\.description) == ["10.96.0.10:5353", "[2001:db8::1]:53"])
        #expect(server.families == [.ipv4, .ipv6])
    }

    @Test(
        "what is no such configuration is told",
        arguments: [
            ("events {}", "no stream block"), ("stream { server { listen 1; } }", "no server of its stream block"),
            ("stream {", "a { has no }"), ("stream { server { listen 1 } }", "'listen' does not end with ;"),
            ("}", "a } too many"), ("a 'b", "a ' is not closed"),
            ("stream { server { listen x; ssl_preread on; proxy_pass $ssl_preread_server_name:443; } }", "'x' is no"),
        ])
    func failures(text: String, expected: String) {
        #expect {
            try NginxSNIServer(readingConfiguration: text)
        } throws: {
            "\($0)".contains(expected)
        }
    }
}
