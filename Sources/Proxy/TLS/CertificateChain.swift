import FoundationEssentials
import X509

/// The path from a leaf to a root, built and checked in the order of BoringSSL's `X509_verify_cert`, so that the first
/// thing wrong is what Envoy would log.
struct CertificateChain {
    private static let maximumDepth = 16

    /// Leaf first; the last one is a root if `isTrusted`.
    private var path: [Certificate] = []
    private var isTrusted = false
    private let purpose: CertificateVerifier.Purpose
    private let now: Date

    init(_ presented: [Certificate], roots: [Certificate], purpose: CertificateVerifier.Purpose, now: Date = Date()) {
        self.purpose = purpose
        self.now = now
        guard var tip = presented.first else { return }
        path = [tip]
        while path.count <= Self.maximumDepth {
            if roots.contains(tip) {
                isTrusted = true
                return
            }
            // X509_V_FLAG_TRUSTED_FIRST: a trusted issuer is taken before one that the peer sent along.
            let issuers = [roots, Array(presented.dropFirst())].lazy.compactMap { candidates in
                Self.issuer(of: tip, among: candidates)
            }
            guard tip.issuer != tip.subject, let issuer = issuers.first, !path.contains(issuer) else { return }
            path.append(issuer)
            tip = issuer
        }
    }

    /// Of several with the name, one whose key made the signature.
    private static func issuer(of certificate: Certificate, among candidates: [Certificate]) -> Certificate? {
        let named = candidates.filter { $0.subject == certificate.issuer }
        return named.first { $0.publicKey.isValidSignature(certificate.signature, for: certificate) } ?? named.first
    }

    /// What is wrong with the chain; nil when nothing is.
    func failure() -> CertificateFailure? {
        guard let tip = path.last else { return .chain(depth: 0, "unable to get local issuer certificate") }
        if !isTrusted {
            let depth = path.count - 1
            guard tip.issuer == tip.subject else {
                return .chain(depth: depth, "unable to get local issuer certificate")
            }
            return .chain(
                depth: depth, depth == 0 ? "self signed certificate" : "self signed certificate in certificate chain")
        }
        return roleFailure() ?? signatureOrTimeFailure()
    }

    private func roleFailure() -> CertificateFailure? {
        for (depth, certificate) in path.enumerated() {
            if depth > 0 {
                guard certificate.mayIssue else { return .chain(depth: depth, "invalid CA certificate") }
                if let limit = certificate.pathLength, depth - 1 > limit {
                    return .chain(depth: depth, "path length constraint exceeded")
                }
            }
            guard certificate.serves(purpose) else { return .chain(depth: depth, "unsupported certificate purpose") }
        }
        return nil
    }

    /// From the root down, as `internal_verify` goes.
    private func signatureOrTimeFailure() -> CertificateFailure? {
        for (depth, certificate) in path.enumerated().reversed() {
            let issuer = depth + 1 < path.count ? path[depth + 1] : nil
            if let issuer, !issuer.publicKey.isValidSignature(certificate.signature, for: certificate) {
                return .chain(depth: depth, "certificate signature failure")
            }
            if certificate.notValidBefore > now { return .chain(depth: depth, "certificate is not yet valid") }
            if certificate.notValidAfter < now { return .chain(depth: depth, "certificate has expired") }
        }
        return nil
    }
}

extension Certificate {
    fileprivate var mayIssue: Bool {
        guard case .isCertificateAuthority? = try? extensions.basicConstraints else { return false }
        guard let usage = try? extensions.keyUsage else { return extensions[oid: .X509ExtensionID.keyUsage] == nil }
        return usage.keyCertSign
    }

    fileprivate var pathLength: Int? {
        guard case .isCertificateAuthority(let limit)? = try? extensions.basicConstraints else { return nil }
        return limit
    }

    /// Without an extended key usage a certificate serves every purpose (RFC 5280, 4.2.1.12).
    fileprivate func serves(_ purpose: CertificateVerifier.Purpose) -> Bool {
        guard extensions[oid: .X509ExtensionID.extendedKeyUsage] != nil else { return true }
        guard let usage = try? extensions.extendedKeyUsage else { return false }
        return usage.contains(.any) || usage.contains(purpose == .client ? .clientAuth : .serverAuth)
    }
}
