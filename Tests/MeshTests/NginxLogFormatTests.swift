import Mesh
import Testing

@Suite("An nginx log_format, read backwards") struct NginxLogFormatTests {
    private static let document =
        "$remote_addr [$time_local] $protocol [$ssl_preread_server_name]"
        + "$status $bytes_sent $bytes_received $session_time"

    @Test("a line of the document's format gives its variables back")
    func document() throws {
        let format = try #require(NginxLogFormat(Self.document))
        let values = format.values(
            in: "127.0.0.1 [01/Aug/2018:15:32:02 +0000] TCP [en.wikipedia.org]200 81513 280 0.600")
        #expect(
            values == [
                "remote_addr": "127.0.0.1", "time_local": "01/Aug/2018:15:32:02 +0000", "protocol": "TCP",
                "ssl_preread_server_name": "en.wikipedia.org", "status": "200", "bytes_sent": "81513",
                "bytes_received": "280", "session_time": "0.600",
            ])
        #expect(
            format.values(in: "127.0.0.1 [01/Aug/2018:15:32:02 +0000] TCP []500 0 0 0.000")?["ssl_preread_server_name"]
                == "")
    }

    @Test("a line of something else gives nothing")
    func other() throws {
        let format = try #require(NginxLogFormat(Self.document))
        #expect(format.values(in: "2026/11/21 18:51:38 [emerg] 1#1: unknown directive") == nil)
        let ended = try #require(NginxLogFormat("$ssl_preread_server_name $status."))
        #expect(ended.values(in: "a.test 200. and more") == nil)
        #expect(ended.values(in: "a.test 200.")?["status"] == "200")
    }

    @Test(
        "a format whose lines don't tell what became of a name is of no use",
        arguments: ["$remote_addr $status", "$ssl_preread_server_name$status", "nothing"])
    func useless(format: String) { #expect(NginxLogFormat(format) == nil) }

    @Test("a name in braces is a variable, too")
    func braces() throws {
        let format = try #require(NginxLogFormat("<${ssl_preread_server_name}>x${status}"))
        #expect(format.values(in: "<a.test>x502") == ["ssl_preread_server_name": "a.test", "status": "502"])
    }
}
