import Glibc

/// An open file that is closed with its last reference.
package final class FileDescriptor: Sendable {
    /// The number, valid as long as this object lives.
    package let number: Int32

    /// Takes over an open descriptor.
    package init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Opens a file. The corresponding C function is `open`.
    package static func open(_ path: String, _ flags: Int32) throws(KernelError) -> FileDescriptor {
        let number = Glibc.open(path, flags | O_CLOEXEC)
        guard number >= 0 else { throw KernelError("open", path, errno: Glibc.errno) }
        return FileDescriptor(owning: number)
    }
}
