// What a frontend makes of the configuration, the machine's memory and the limit of descriptors.
import Configuration
import Service
import Testing

@testable import Frontend

@Suite struct LimitsTests {
  private func limits(
    _ overrides: [String] = [], descriptors: Int = 20_000, memoryMiB: Int = 24 << 10
  ) throws(ServiceFailure) -> FrontendLimits {
    try FrontendLimits(
      .load(path: nil, overrides: overrides), descriptorsMax: descriptors,
      memoryBytes: memoryMiB << 20)
  }

  @Test(
    arguments: [
      // A quarter of a small machine, never less than 8 MiB, never more than is usual.
      ([], 24 << 10, 256, 100 << 20), ([], 1 << 10, 256, 100 << 20),
      ([], 1000, 128, 100 << 20), ([], 256, 64, (64 << 20) - 4), ([], 16, 8, (8 << 20) - 4),
      // Twice the largest request, where there is the memory.
      (["socket.request.max.bytes=200000000"], 24 << 10, 512, 200_000_000),
      (["socket.request.max.bytes=200000000"], 1 << 10, 256, 200_000_000),
      (["socket.request.max.bytes=1000000"], 24 << 10, 256, 1_000_000),
      // What the operator says.
      (
        ["queued.max.request.bytes=70000000", "socket.request.max.bytes=1000000"], 24 << 10, 64,
        1_000_000
      ),
      (
        ["queued.max.request.bytes=104857600", "socket.request.max.bytes=67108860"], 256, 64,
        67_108_860
      ),
      (["queued.max.request.bytes=-1"], 24 << 10, 256, 100 << 20),
    ] as [([String], Int, Int, Int)])
  func slab(overrides: [String], memoryMiB: Int, slabMiB: Int, requestMaxBytes: Int) throws {
    let limits = try limits(overrides, memoryMiB: memoryMiB)
    #expect(limits.slabBytes == slabMiB << 20)
    #expect(limits.requestMaxBytes == requestMaxBytes)
  }

  @Test(
    arguments: [
      (["socket.request.max.bytes=67108861"], 256, 67_108_860, 64),
      (["socket.request.max.bytes=2000000000"], 24 << 10, 1_073_741_820, 1024),
      (
        ["socket.request.max.bytes=67108861", "queued.max.request.bytes=100000000"], 24 << 10,
        67_108_860, 64
      ),
    ] as [([String], Int, Int, Int)])
  func tooLargeRequests(overrides: [String], memoryMiB: Int, most: Int, slabMiB: Int) {
    do throws(ServiceFailure) {
      _ = try limits(overrides, memoryMiB: memoryMiB)
      Issue.record("taken")
    } catch {
      #expect(error.exitCode == 100)
      #expect(
        "\(error)" == "--override: \(overrides[0]): Value must be no more than \(most): "
          + "a frontend has \(slabMiB) MiB for requests (queued.max.request.bytes, or a quarter of the machine's "
          + "memory)")
    }
  }

  @Test(arguments: [(20_000, 18_720), (5_120, 3_840), (400, 300), (100, 75)])
  func connections(descriptors: Int, connections: Int) throws {
    #expect(try limits(descriptors: descriptors).connectionsMax == connections)
    #expect(try limits(["max.connections=10"], descriptors: descriptors).connectionsMax == 10)
  }
}
