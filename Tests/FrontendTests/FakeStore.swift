// The supervisor's store of descriptors, in the test's own process.
import IPC
import Linux
import Service

final class FakeStore {
  /// It has no room.
  var isFull = false
  /// It does not answer.
  var isSilent = false
  /// There is none.
  var isAbsent = false
  private var stored: Int32 = -1
  private(set) var drops = 0

  var store: DescriptorStore {
    DescriptorStore(
      keep: { [unowned self] in keep($0, barrier: $1) }, drop: { [unowned self] in drops += 1 })
  }

  deinit {
    _ = take()
    for number in held { OwnedFD(taking: number).close() }
  }

  /// What it keeps, for the next process.
  func take() -> OwnedFD? {
    guard stored >= 0 else { return nil }
    defer { stored = -1 }
    return OwnedFD(taking: stored)
  }

  /// Has something else than the process before left.
  func replace(_ descriptor: consuming OwnedFD) {
    _ = take()
    stored = descriptor.release()
  }

  private func keep(_ descriptor: Int32, barrier: Int32) -> Bool {
    if isAbsent { return false }
    if isSilent { held.append(duplicate(barrier)) }
    if !isFull { stored = duplicate(descriptor) }
    return true
  }

  private var held: [Int32] = []

  private func duplicate(_ number: Int32) -> Int32 {
    guard let copy = try? OwnedFD.duplicate(of: number) else { return -1 }
    return copy.release()
  }
}
