import Glibc

/// A moment in the Gregorian calendar, UTC, from seconds since 1970.
package struct UTCTime {
    let year: Int
    let month: Int
    let day: Int
    let hour: Int
    let minute: Int
    let second: Int
    let millisecond: Int
    /// 0 is Sunday.
    let weekday: Int

    init(secondsSince1970: Double) {
        let milliseconds = Int((secondsSince1970 * 1000).rounded(.down))
        let seconds = milliseconds.dividedDown(by: 1000)
        let days = seconds.dividedDown(by: 86_400)
        let secondOfDay = seconds - days * 86_400
        millisecond = milliseconds - seconds * 1000
        (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
        weekday = ((days + 4) % 7 + 7) % 7
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: eras of 400 years that begin
        // on 1 March.
        let shifted = days + 719_468
        let era = shifted.dividedDown(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// `2019-01-24T12:17:11.640Z`, as Envoy prints START_TIME.
    var iso8601: String {
        "\(Self.pad(year, 4))-\(Self.pad(month))-\(Self.pad(day))T\(clock).\(Self.pad(millisecond, 3))Z"
    }

    /// `Thu, 24 Jan 2019 12:17:11 GMT`, as HTTP prints Date (RFC 9110, 5.6.7).
    var httpDate: String {
        let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(weekdays[weekday]), \(Self.pad(day)) \(months[month - 1]) \(Self.pad(year, 4)) \(clock) GMT"
    }

    /// In the form of `strftime`, with Envoy's `%f` and `%3f` for nano- and milliseconds and `%s` for seconds.
    package static func formatted(_ secondsSince1970: Double, as format: String) -> String {
        let nanoseconds = Int((secondsSince1970 * 1e6).rounded()) * 1000
        let seconds = nanoseconds.dividedDown(by: 1_000_000_000)
        let fraction = pad(nanoseconds - seconds * 1_000_000_000, 9)
        var format = format.replacing("%s", with: String(seconds)).replacing("%f", with: fraction)
        for digits in 1...9 { format = format.replacing("%\(digits)f", with: fraction.prefix(digits)) }
        if format.isEmpty { return "" }
        var moment = time_t(seconds)
        var calendar = tm()
        gmtime_r(&moment, &calendar)
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
            guard let base = buffer.baseAddress else { return "" }
            let count = strftime(base, buffer.count, format, &calendar)
            return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }

    private var clock: String { "\(Self.pad(hour)):\(Self.pad(minute)):\(Self.pad(second))" }

    private static func pad(_ value: Int, _ width: Int = 2) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Int {
    fileprivate func dividedDown(by divisor: Int) -> Int {
        self >= 0 ? self / divisor : -((divisor - 1 - self) / divisor)
    }
}
