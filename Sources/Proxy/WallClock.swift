import Glibc
import NIOCore

/// The time of day.
enum WallClock {
    /// Seconds since 1970. The corresponding C call is `clock_gettime(CLOCK_REALTIME)`.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

extension NIODeadline {
    /// Whole milliseconds from this moment until now.
    var millisecondsAgo: UInt64 { UInt64(max(0, (NIODeadline.now() - self).nanoseconds / 1_000_000)) }
}
