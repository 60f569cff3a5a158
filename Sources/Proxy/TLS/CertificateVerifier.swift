import NIOSSL
import ProxyModel
import SwiftASN1
import X509

/// Why a peer's certificate is not accepted, in Envoy's words.
enum CertificateFailure: Error, Equatable {
    /// BoringSSL's `X509_verify_cert`, at a depth of the chain.
    case chain(depth: Int, String)
    /// No alternative name matches those of the configuration.
    case names([String])
    /// No alternative name is the one that the request asks for.
    case expectedNames([String], [String])

    /// `verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate has expired`
    var description: String {
        switch self {
        case .chain(let depth, let reason):
            "verify cert failed: X509_verify_cert: certificate verification error at depth \(depth): \(reason)"
        case .names(let names):
            "verify cert failed: SAN matcher, certificate SANs are [\(names.joined(separator: ", "))]"
        case .expectedNames(let expected, let names):
            "verify cert failed: verify SAN list, expected SANs: [\(expected.joined(separator: ", "))], "
                + "certificate SANs: [\(names.joined(separator: ", "))]"
        }
    }

    /// The counter under `ssl.`.
    var counter: String { if case .chain = self { "fail_verify_error" } else { "fail_verify_san" } }
}

/// Checks the chain that a peer shows: trust, validity, purpose and names, as Envoy's default validator does.
///
/// The verdict is swift-certificates' own, and that of `CertificateChain` which finds BoringSSL's words for it: a chain
/// must satisfy both.
struct CertificateVerifier: Sendable {
    enum Purpose: Sendable { case client, server }

    /// nil trusts every chain.
    let roots: [Certificate]?
    let names: [CompiledStringMatch]
    /// Whose certificate it is.
    let purpose: Purpose

    /// Throws what is wrong with the roots' PEM.
    init(_ validation: CertificateValidation, rootsPEM: String?, purpose: Purpose) throws {
        roots = try rootsPEM.map {
            try PEMDocument.parseMultiple(pemString: $0).map { try Certificate(pemDocument: $0) }
        }
        names = try validation.subjectAltNames.map { try CompiledStringMatch($0, ignoresCase: false) }
        self.purpose = purpose
    }

    /// nil when the chain, leaf first, is accepted. `expected`: the names of which the certificate must have one.
    func failure(of presented: [NIOSSLCertificate], expecting expected: [String]) async -> CertificateFailure? {
        guard let chain = try? presented.map({ try Certificate(derEncoded: try $0.toDERBytes()) }),
            let leaf = chain.first
        else { return .chain(depth: 0, "application verification failure") }
        if let roots {
            if let failure = CertificateChain(chain, roots: roots, purpose: purpose).failure() { return failure }
            var verifier = Verifier(rootCertificates: CertificateStore(roots)) {
                RFC5280Policy()
                CriticalNamesPolicy()
            }
            let result = await verifier.validate(
                leaf: leaf, intermediates: CertificateStore(chain.dropFirst()), diagnosticCallback: nil)
            guard case .validCertificate = result else {
                return .chain(depth: 0, "application verification failure")
            }
        }
        let subject = PeerCertificate(leaf)
        if !expected.isEmpty, !expected.contains(where: { subject.isNamed(exactly: $0) }) {
            return .expectedNames(expected, subject.alternativeNames)
        }
        if !names.isEmpty, !names.contains(where: { subject.isNamed($0) }) { return .names(subject.alternativeNames) }
        return nil
    }
}

/// Takes charge of the extensions that workload certificates mark critical: the names and the purpose, which
/// `CertificateVerifier` looks at itself.
private struct CriticalNamesPolicy: VerifierPolicy {
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.extendedKeyUsage,
    ]

    func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) async -> PolicyEvaluationResult {
        .meetsPolicy
    }
}
