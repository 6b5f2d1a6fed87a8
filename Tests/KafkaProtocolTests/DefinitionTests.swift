// The grammar of definitions and the rules that every definition must obey.
import Testing

@testable import WireGen

@Suite struct DefinitionTests {
  private func parse(_ fields: String, flexible: String = "2+") throws(DefinitionError) -> Message {
    let text = """
      // A test.
      api Test 7
      versions 0-4
      flexible \(flexible)

      request
      \(fields)

      response
      """
    return try DefinitionParser.parse(text, file: "test").messages[0]
  }

  @Test func fields() throws {
    let message = try parse(
      """
        // How many.
        count: int32 1-3 = -1 ignorable
        names: [string]?2+ 1+
        extra: Extra 3+ tag 0
          id: uuid
      """)
    #expect(message.name == "TestRequest")
    #expect(message.kind == .request(apiKey: 7))
    #expect(message.flexible == 2)
    let count = message.root.fields[0]
    #expect(count.versions == VersionRange(low: 1, high: 3))
    #expect(count.defaultValue == .integer(-1))
    #expect(count.isIgnorable)
    #expect(count.documentation == ["How many."])
    let names = message.root.fields[1]
    #expect(names.isArray)
    #expect(names.nullable == VersionRange(low: 2, high: 4))
    let extra = message.root.fields[2]
    #expect(extra.tag == 0)
    #expect(message.structure("Extra")?.versions == VersionRange(low: 3, high: 4))
  }

  @Test(arguments: [
    ("  a: int99", "unknown type int99"),
    ("  a: int32 3-9", "bad version range 3-9"),
    ("  a: int32 3-1", "bad version range 3-1"),
    ("  a int32", "a field reads `name: type …`"),
    ("   a: int32", "odd indentation"),
    ("  a: int32\n    b: int32", "not a struct"),
    ("  a: int32\n  a: int8", "defined twice"),
    ("  a: Missing", "no struct Missing"),
    ("  a: string = null", "null by default but never nullable"),
    ("  a: int32 tag 0", "tagged in a version that is not flexible"),
    ("  a: int32 2+ tag 0\n  b: int32 2+ tag 0", "tag 0 twice"),
    ("  a: records 2+ tag 0", "records cannot be tagged"),
    ("  a: [int32] = 3", "an array's default is empty or null"),
    ("  a: int32 = x", "unknown default x"),
    ("  a: A\n    b: [A]", "is recursive"),
    ("  a: [A]\n    b: int32 3+", "an element may take no bytes in version 0"),
  ])
  func refusals(fields: String, message: String) {
    let error = #expect(throws: DefinitionError.self) { try parse(fields) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }

  @Test func minimumSizes() throws {
    let message = try parse(
      """
        a: [A]
          b: int32
          c: string 1+
          d: [int8]?
          e: B? 3+
            f: int64
      """)
    let field = message.root.fields[0]
    let sizes = MinimumSize(message)
    #expect((0...4).map { sizes.ofElement(field, version: $0) } == [8, 10, 7, 8, 8])
    #expect(sizes.ofElement(field) == 7)
  }
}
