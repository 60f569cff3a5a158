package import ProxyModel

extension [WeightedCluster] {
    /// The sum of the weights; a point below it selects a cluster.
    package var totalWeight: Int { reduce(0) { $0 + Swift.max($1.weight, 0) } }

    /// The cluster at `point` of 0..<totalWeight; the first one when all weights are 0.
    package func cluster(at point: Int) -> WeightedCluster? {
        var rest = point
        for cluster in self where cluster.weight > 0 {
            rest -= cluster.weight
            if rest < 0 { return cluster }
        }
        return first
    }

    /// A cluster by chance, in proportion to the weights.
    func randomCluster() -> WeightedCluster? {
        count == 1 ? self[0] : cluster(at: Int.random(in: 0..<Swift.max(totalWeight, 1)))
    }
}
