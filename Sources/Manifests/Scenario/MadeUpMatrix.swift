/// A scenario made up on the spot: manifests alone, and one matrix of all of their pods.
package struct MadeUpMatrix: Codable, Sendable, Equatable {
    /// Files and directories of manifests.
    package var paths: [String]
    package var probes: [MatrixProbe]
    /// A file with the table to compare with.
    package var expect: String?

    package init(paths: [String], probes: [MatrixProbe], expect: String? = nil) {
        self.paths = paths
        self.probes = probes
        self.expect = expect
    }

    /// The scenario; everything wrong in the manifests is told.
    package func scenario(dataPlane: Scenario.DataPlaneKind?) -> ReadResult<Scenario?> {
        let read = ManifestReader.read(paths: paths)
        let path = paths.first ?? "."
        let location = SourceLocation(file: path)
        var diagnostics = read.diagnostics
        var kept: KeptMatrix?
        if let expect {
            let bytes = ManifestFile.bytes(at: expect, askedAt: nil)
            diagnostics += bytes.diagnostics
            if let bytes = bytes.value {
                let table = KeptMatrix.read(text: String(decoding: bytes, as: UTF8.self), file: expect)
                diagnostics += table.diagnostics
                kept = table.value
            }
        }
        let matrix = Matrix(probes: probes, expected: kept, location: location)
        let name = path.split(separator: "/").last.map(String.init) ?? "matrix"
        let step = Step(name: "who can reach whom", location: location, matrix: matrix)
        return ReadResult(
            Scenario(
                name: name == "." ? "matrix" : name, title: "Made up of manifests alone", file: path,
                location: location, dataPlane: dataPlane ?? .bundled, enforcement: .none, manifests: read.value,
                steps: [step]),
            diagnostics: diagnostics)
    }
}
