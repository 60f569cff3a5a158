import CLinux

/// The calling thread's file system user and group.
enum CurrentOwner {
    static var uid: UInt32 { clinux_getfsuid() }
    static var gid: UInt32 { clinux_getfsgid() }
}
