/// Certificates with their keys, valid where nothing else is said.
enum TestCredentials {
    /// Of site.example.
    static let chain = """
        -----BEGIN CERTIFICATE-----
        MIIBTDCB86ADAgECAhQY0DXNprC1WJ7/Le2nB+YPlJLguzAKBggqhkjOPQQDAjAX
        MRUwEwYDVQQDDAxzaXRlLmV4YW1wbGUwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAx
        MDEwMDAwMDBaMBcxFTATBgNVBAMMDHNpdGUuZXhhbXBsZTBZMBMGByqGSM49AgEG
        CCqGSM49AwEHA0IABKXQx9ciuojqdg/59f+lkl1XzRREl78xZctY5hNGvIEMuBj5
        MLvOTxndyaAlNYJoZuAHJcrbUHe6x3e0DXlnQ1yjGzAZMBcGA1UdEQQQMA6CDHNp
        dGUuZXhhbXBsZTAKBggqhkjOPQQDAgNIADBFAiAdB7UXKxVuvIQmKNWzbY8x/66v
        iZUf5S/OBg66KcvftwIhALKxFYc06fX1Ft48pbhJmKkhSbFMKfEOR7iVpxI4pT33
        -----END CERTIFICATE-----

        """

    /// Of `chain`.
    static let key = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdlY/dzt3E3y77tg6
        g9srB739aJ7OzZFn5Rj2SS35LrahRANCAASl0MfXIrqI6nYP+fX/pZJdV80URJe/
        MWXLWOYTRryBDLgY+TC7zk8Z3cmgJTWCaGbgByXK21B3usd3tA15Z0Nc
        -----END PRIVATE KEY-----

        """

    /// Of another certificate.
    static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpoJzW1xdSr/Wdmvj
        aqBziCUZ6iXlsRctv12YEgMODwWhRANCAAQRmD9EWxOmZamIaJvw+6GxC2UoBPFp
        ZQRj3Kcux8qJ/G3dfWS3gx2Mf21pfhfdD5nCXENbFJ0tmCALTV0hx/PS
        -----END PRIVATE KEY-----

        """

    /// Valid in 2020.
    static let expiredChain = """
        -----BEGIN CERTIFICATE-----
        MIIBUzCB+qADAgECAhRZGXdVczXwF8EZ6bIg6KzHATOrRjAKBggqhkjOPQQDAjAa
        MRgwFgYDVQQDDA9lZGl0aW9uLmNubi5jb20wHhcNMjAwMTAxMDAwMDAwWhcNMjEw
        MTAxMDAwMDAwWjAaMRgwFgYDVQQDDA9lZGl0aW9uLmNubi5jb20wWTATBgcqhkjO
        PQIBBggqhkjOPQMBBwNCAARxZ0Vep4ygzjLupiM5ZrIKIqvp+ax4tQhkMDWK7icg
        R44SHuEbxP1js4bzrQ6I4OYNlKmFF5mnI01PBxnwlwF2ox4wHDAaBgNVHREEEzAR
        gg9lZGl0aW9uLmNubi5jb20wCgYIKoZIzj0EAwIDSAAwRQIgALfQZ+vYMlY5KFVG
        5Vw8179S11IFEooVEe+r3/B/MDACIQDnqMVyPItWFUmp2WiJSQ/M9l/X3wQae09H
        DcSjil08dQ==
        -----END CERTIFICATE-----

        """

    /// Of `expiredChain`.
    static let expiredKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtMUEgxT+ss6+dLGL
        72DifL/0XBrpf6HzkdvPzgKnMjqhRANCAARxZ0Vep4ygzjLupiM5ZrIKIqvp+ax4
        tQhkMDWK7icgR44SHuEbxP1js4bzrQ6I4OYNlKmFF5mnI01PBxnwlwF2
        -----END PRIVATE KEY-----

        """

    /// Valid from 2119 on.
    static let lateChain = """
        -----BEGIN CERTIFICATE-----
        MIIBTjCB9aADAgECAhQq9cHCj8Z8DveD0mDVzxwpdwxh5zAKBggqhkjOPQQDAjAX
        MRUwEwYDVQQDDAxsYXRlLmV4YW1wbGUwIhgPMjExOTAxMDEwMDAwMDBaGA8yMTIw
        MDEwMTAwMDAwMFowFzEVMBMGA1UEAwwMbGF0ZS5leGFtcGxlMFkwEwYHKoZIzj0C
        AQYIKoZIzj0DAQcDQgAEZ6SfW2QVvvnSLbNjIZCMI+37/YwxzlNWmNz3ImbLk7av
        U3EaA3ADrEGJBdjN+zzOyT3SJ3/jiT8KejPf6hPSy6MbMBkwFwYDVR0RBBAwDoIM
        bGF0ZS5leGFtcGxlMAoGCCqGSM49BAMCA0gAMEUCIBytK1VRuWw8cU4SVIyRA4QP
        tpLI7apP6md/smXidtnRAiEAtq0y4tnHnF6gK6qv6wUIne5vOlZh2jkP3UiPcnWh
        MRU=
        -----END CERTIFICATE-----

        """

    /// Of `lateChain`.
    static let lateKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMi1PKRsO4GrYq9d/
        oF25OJNmySRUJkRhGy5a1DuWZiqhRANCAARnpJ9bZBW++dIts2MhkIwj7fv9jDHO
        U1aY3PciZsuTtq9TcRoDcAOsQYkF2M37PM7JPdInf+OJPwp6M9/qE9LL
        -----END PRIVATE KEY-----

        """

    /// A Secret of these values, in one line each.
    static func secret(_ name: String, namespace: String = "istio-system", _ values: [String: String]) -> String {
        let data = values.sorted { $0.key < $1.key }.map { key, value in
            "\(key): \"\(value.replacing("\n", with: "\\n"))\""
        }
        return """
            apiVersion: v1
            kind: Secret
            metadata: {name: \(name), namespace: \(namespace)}
            stringData: {\(data.joined(separator: ", "))}
            ---

            """
    }
}
