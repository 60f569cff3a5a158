import Testing

@testable import egress_lab_differential

@Suite struct YAMLValueTests {
    @Test("Strings that YAML would take for something else are quoted")
    func quotes() {
        let value: YAMLValue = ["a", "yes", "1.0", "203.0.113.1", "*.x", "a\"b\\", "\u{0}\r\n", "", "/a/b", "x: y"]
        #expect(
            value.inline == #"[a, "yes", "1.0", "203.0.113.1", "*.x", "a\"b\\", "\x00\r\n", "", /a/b, "x: y"]"#)
    }

    @Test("Short collections stand on their line, others as blocks")
    func layout() {
        let value: YAMLValue = [
            "kind": "X",
            "spec": ["hosts": ["a.example"], "ports": [["number": 80, "name": "http"], ["number": 443]]],
        ]
        #expect(
            value.document == """
                kind: X
                spec:
                  hosts: [a.example]
                  ports: [{number: 80, name: http}, {number: 443}]

                """)
    }

    @Test("Setting a key to nothing removes it, and the order stays")
    func keys() {
        var value: YAMLValue = ["a": 1, "b": 2]
        value["c"] = 3
        value["a"] = nil
        value["b"] = 4
        #expect(value.inline == "{b: 4, c: 3}")
    }
}
