// The wait board: one 32-bit mark per scoreboard slot, in a memfd of one fetcher. The fetcher sets a
// mark when a parked request waits for that partition; the logwriter takes the mark off when the
// partition has grown, and tells the fetcher. It is a memory of its own, not part of the scoreboard,
// so that the scoreboard keeps one writer and a broken fetcher can only harm its own wake-ups.
//
// Lost wake-ups: the fetcher marks, passes a full barrier, then reads the scoreboard; the logwriter
// publishes, passes a full barrier, then takes the mark. One of the two always sees the other.

import Linux

public struct WaitBoard: ~Copyable {
  public static let byteCount = ScoreboardLayout.capacity * 4

  /// The memfd; the fetcher hands it to the logwriter.
  public let descriptor: OwnedFD
  private let mapping: Mapping

  /// A new board with no marks: the fetcher's side.
  public init() throws(Errno) {
    let file = try MemoryFile.shared(name: "sluice-waitboard", size: Self.byteCount)
    mapping = try Mapping(file, count: Self.byteCount, writable: true)
    descriptor = file
  }

  /// A board received from a fetcher: the logwriter's side.
  public init(received file: consuming OwnedFD) throws(MessageError) {
    guard MemoryFile.isSealed(file, .size), let status = try? File.status(file),
      status.size == Int64(Self.byteCount)
    else { throw MessageError("a wait board has another size or no seals") }
    do { mapping = try Mapping(file, count: Self.byteCount, writable: true) } catch {
      throw MessageError("a wait board cannot be mapped: \(error)")
    }
    descriptor = file
  }

  /// Fetcher: someone waits for `slot`. Read the scoreboard after this.
  public borrowing func mark(_ slot: UInt32) {
    guard let word = word(slot) else { return }
    SharedWord.store32(word, 1)
    SharedWord.fence()
  }

  /// Logwriter, after publishing `slot` and one `SharedWord.fence()` for the whole round: whether
  /// someone waited; the mark is off afterwards.
  public borrowing func takeMark(_ slot: UInt32) -> Bool {
    guard let word = word(slot), SharedWord.load32(word) != 0 else { return false }
    return SharedWord.exchange32(word, 0) != 0
  }

  private borrowing func word(_ slot: UInt32) -> UnsafeMutableRawPointer? {
    precondition(slot < ScoreboardLayout.capacity, "no such slot")
    return mapping.mutableBytes.baseAddress.map { $0 + Int(slot) * 4 }
  }
}
