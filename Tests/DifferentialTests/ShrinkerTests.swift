import Testing

@testable import egress_lab_differential

@Suite struct ShrinkerTests {
    @Test("Of a list, what matters remains, in its order")
    func list() async {
        let shrinker = Shrinker<[Int]>(limit: 1000, reductions: { $0.withoutParts })
        let result = await shrinker.shrink(Array(0..<64)) { $0.contains(3) && $0.contains(41) }
        #expect(result.value == [3, 41])
        #expect(result.isMinimal)
        #expect(result.tries < 200)
    }

    @Test("The limit of tries is kept")
    func limit() async {
        let shrinker = Shrinker<[Int]>(limit: 5, reductions: { $0.withoutParts })
        let result = await shrinker.shrink(Array(0..<64)) { $0.contains(3) && $0.contains(41) }
        #expect(result.tries == 5)
        #expect(!result.isMinimal)
    }

    @Test("What makes no sense is not tried")
    func sense() async {
        let shrinker = Shrinker<[Int]>(
            limit: 1000, reductions: { $0.withoutParts }, isSensible: { $0.count.isMultiple(of: 2) })
        let result = await shrinker.shrink(Array(0..<8)) { value in
            #expect(value.count.isMultiple(of: 2))
            return value.contains(5)
        }
        #expect(result.value.count == 2)
    }

    @Test("A mesh shrinks to the one flow and the one field that matter")
    func mesh() async throws {
        let first = try #require(
            (0..<200).lazy.map { MeshGenerator.mesh(seed: 3, index: $0) }.first { mesh in
                !mesh.virtualServices.isEmpty && mesh.flows.contains { $0["sni"] != nil }
            })
        let shrinker = Shrinker(limit: 10_000, reductions: GeneratedMesh.reductions)
        let result = await shrinker.shrink(first) { mesh in
            mesh.flows.contains { $0["sni"] != nil }
                && mesh.virtualServices.contains { $0["spec"]?["hosts"] != nil }
        }
        #expect(result.isMinimal)
        #expect(result.value.resources.count == 1)
        #expect(result.value.internet.isEmpty)
        #expect(result.value.flows.count == 1)
        #expect(result.value.flows.first?["headers"] == nil)
        #expect(result.value.virtualServices.first?["kind"] == nil)
    }
}
