// The thread that reads cleaned segments back and syncs them, so that the loop does not wait for the
// disk. It is started with the first replacement; a broker without compacted topics has none.

import Linux
import Storage

final class CleaningThread {
  /// Calls at a time: one for every order under way.
  static let checksMax = 16

  private enum Operation {
    static let sync: UInt32 = 0
    static let check: UInt32 = 1
  }

  /// The files to look at, by number. The loop fills a place before it makes the call that names it,
  /// and empties it when the call is done.
  private struct Table: @unchecked Sendable {
    let places: UnsafeMutablePointer<Unmanaged<CleanedFile>?>
  }

  private let table: Table
  private let threads: HelperThreads
  private var checks: [UInt32: Int] = [:]
  private var nextToken: UInt32 = 0

  init() throws(Errno) {
    let places = UnsafeMutablePointer<Unmanaged<CleanedFile>?>.allocate(capacity: Self.checksMax)
    places.initialize(repeating: nil, count: Self.checksMax)
    let table = Table(places: places)
    self.table = table
    threads = try HelperThreads(countMax: 1) { call in
      if call.operation == Operation.check {
        table.places[Int(call.descriptor)]?.takeUnretainedValue().check()
        return 0
      }
      do throws(Errno) {
        try File.sync(descriptor: call.descriptor, dataOnly: false)
        return 0
      } catch { return error.code }
    }
  }

  deinit {
    precondition(checks.isEmpty, "a file is being looked at")
    table.places.deallocate()
  }

  /// Readable when something is done.
  var descriptor: Int32 { threads.descriptor }
  var isIdle: Bool { threads.openCount == 0 }

  /// Has `file` looked at.
  /// - Returns: the number that `takeDone` will name.
  func check(_ file: CleanedFile) -> UInt32 {
    guard let place = (0..<Self.checksMax).first(where: { table.places[$0] == nil }) else {
      preconditionFailure("more orders than places")
    }
    table.places[place] = Unmanaged.passRetained(file)
    let token = takeToken()
    checks[token] = place
    threads.begin(
      HelperCall(token: token, descriptor: Int32(place), operation: Operation.check))
    return token
  }

  /// Has a descriptor, which stays open until then, synced.
  func sync(_ descriptor: Int32) -> UInt32 {
    let token = takeToken()
    threads.begin(HelperCall(token: token, descriptor: descriptor, operation: Operation.sync))
    return token
  }

  /// Takes what is done: its number, and 0 or an errno value.
  func takeDone(_ body: (UInt32, Int32) -> Void) {
    threads.takeDone { token, result in
      if let place = checks.removeValue(forKey: token) {
        table.places[place]?.release()
        table.places[place] = nil
      }
      body(token, result)
    }
  }

  private func takeToken() -> UInt32 {
    nextToken &+= 1
    return nextToken
  }
}
