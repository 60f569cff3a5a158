import NIOConcurrencyHelpers

/// The current HTTP date, printed once a second.
enum HTTPDateCache {
    private static let cache = NIOLockedValueBox<(second: Int, text: String)>((-1, ""))

    static func current() -> String {
        let now = WallClock.now()
        return cache.withLockedValue { cached in
            if cached.second != Int(now) {
                cached = (Int(now), UTCTime(secondsSince1970: now).httpDate)
            }
            return cached.text
        }
    }
}
