import Glibc
import Testing

@testable import CLI

/// A pipe whose writing end is fed from the test.
private final class Pipe {
  let reading: Int32
  private var writing: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    _ = pipe(&ends)
    reading = ends[0]
    writing = ends[1]
  }

  func send(_ bytes: some Collection<UInt8>) {
    let bytes = Array(bytes)
    #expect(write(writing, bytes, bytes.count) == bytes.count)
  }

  func end() {
    if writing >= 0 { close(writing) }
    writing = -1
  }

  deinit {
    end()
    close(reading)
  }
}

@Suite struct LineReaderTests {
  private func lines(_ reader: inout LineReader) throws -> [[UInt8]] {
    var found: [[UInt8]] = []
    while let line = try reader.next() { found.append(Array(line)) }
    return found
  }

  private static let input = Array("a\n\nbcd\n\u{0}\r\nlast".utf8)
  private static let expected: [[UInt8]] = [[97], [], [98, 99, 100], [0, 13], Array("last".utf8)]

  /// Whatever the pieces in which bytes arrive, the lines are the same.
  @Test func everySplitGivesTheSameLines() throws {
    for chunk in 1...Self.input.count + 1 {
      let pipe = Pipe()
      pipe.send(Self.input)
      pipe.end()
      var reader = LineReader(descriptor: pipe.reading, chunk: chunk)
      #expect(try lines(&reader) == Self.expected, "chunk \(chunk)")
      #expect(reader.bytesRead == Int64(Self.input.count))
    }
  }

  @Test(
    arguments: [
      ("", []), ("\n", [""]), ("x", ["x"]), ("x\n", ["x"]), ("x\n\n", ["x", ""]),
    ] as [(String, [String])])
  func endings(input: String, expected: [String]) throws {
    let pipe = Pipe()
    pipe.send(input.utf8)
    pipe.end()
    var reader = LineReader(descriptor: pipe.reading)
    #expect(try lines(&reader).map { String(decoding: $0, as: UTF8.self) } == expected)
  }

  @Test func knowsWhenAPersonIsThinking() throws {
    let pipe = Pipe()
    var reader = LineReader(descriptor: pipe.reading)
    pipe.send("one\ntwo\nthr".utf8)
    #expect(try reader.next().map(Array.init) == Array("one".utf8))
    #expect(reader.hasMoreNow, "a whole line is there")
    #expect(try reader.next().map(Array.init) == Array("two".utf8))
    #expect(!reader.hasMoreNow, "half a line is nothing to wait for")
    pipe.send("ee\n".utf8)
    #expect(reader.hasMoreNow)
    #expect(try reader.next().map(Array.init) == Array("three".utf8))
    pipe.end()
    #expect(reader.hasMoreNow, "the end can be had without waiting")
    #expect(try reader.next() == nil)
    #expect(try reader.next() == nil)
  }

  @Test func aLineBeyondTheMaximumIsRefused() throws {
    let pipe = Pipe()
    pipe.send([UInt8](repeating: 120, count: 40_000))
    pipe.end()
    var reader = LineReader(descriptor: pipe.reading, lineBytesMax: 10_000, chunk: 4_096)
    #expect(throws: ClientError.self) { try reader.next() }
  }

  @Test func aDirectoryIsNoEmptyInput() {
    let directory = open("/", O_RDONLY)
    defer { close(directory) }
    var reader = LineReader(descriptor: directory)
    #expect(throws: ClientError.self) { try reader.next() }
  }

  @Test(
    arguments: [
      ("k\tv", "\t", "k", "v"), ("k\tv\tw", "\t", "k", "v\tw"), ("\tv", "\t", "", "v"),
      ("k\t", "\t", "k", ""), ("v", "\t", nil, "v"), ("k::v", "::", "k", "v"), ("", "\t", nil, ""),
    ] as [(String, String, String?, String)])
  func keysAndValues(line: String, separator: String, key: String?, value: String) {
    let split = Produce.split(Array(line.utf8)[...], Array(separator.utf8))
    #expect(split.key == key.map { Array($0.utf8) })
    #expect(split.value == Array(value.utf8))
  }

  @Test func withoutSeparatorALineIsAValue() {
    let split = Produce.split(Array("a\tb".utf8)[...], nil)
    #expect(split.key == nil)
    #expect(split.value == Array("a\tb".utf8))
  }
}
