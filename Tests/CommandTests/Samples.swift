import Foundation

/// Runs `body` with a directory that holds `files`, and takes it away again.
func withDirectory<Result>(_ files: [String: String], _ body: (String) throws -> Result) throws -> Result {
    let directory = FileManager.default.temporaryDirectory.appending(path: "command-test-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    for (name, text) in files {
        let file = directory.appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
    // Readable for the user that a test may run the program as.
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
    return try body(directory.path)
}

/// Small inputs.
enum Sample {
    static let pod = """
        apiVersion: v1
        kind: Pod
        metadata:
          name: sleep
          labels: {sidecar.istio.io/inject: "true"}
        spec:
          containers:
            - {name: sleep, image: curlimages/curl}
        """

    static func scenario(
        name: String = "sample", tags: String = "[]", to: String = "http://203.0.113.9/", expect: String = "allowed",
        from: String = "default/sleep", manifests: String = "[pod.yaml]"
    ) -> String {
        """
        apiVersion: egress-lab.dev/v1
        kind: Scenario
        metadata: {name: \(name), tags: \(tags)}
        spec:
          manifests: \(manifests)
          steps:
            - name: only
              flows:
                - {id: a, from: \(from), to: "\(to)", expect: \(expect)}
        """
    }
}
