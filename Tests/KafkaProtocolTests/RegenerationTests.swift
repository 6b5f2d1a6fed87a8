// The generated files are those that the generator makes of the definitions as they are now.
// `swift run WireGen --check` tells the same.
import Testing

@testable import WireGen

@Suite struct RegenerationTests {
  @Test func generatedFilesAreUpToDate() throws {
    let generator = try Generator(directory: Support.root + "/protocol")
    let generated = Support.root + "/Sources/KafkaProtocol/Generated"
    #expect(try generator.differences(from: generated) == [], "run `make generate`")
  }
}
