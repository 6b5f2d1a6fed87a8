// The few heaviest of many, against sorting them all.

import Testing

@testable import IPC

@Suite struct HeaviestTests {
  @Test(arguments: [0, 1, 3, 50])
  func asIfSorted(count: Int) {
    var generator = SystemRandomNumberGenerator()
    for many in [0, 1, 2, 49, 50, 51, 500] {
      let weights = (0..<many).map { _ in UInt64.random(in: 0...20, using: &generator) }
      var heaviest = Heaviest<UInt64>(count)
      for weight in weights { heaviest.offer(weight, weight) }
      #expect(
        heaviest.items == Array(weights.sorted(by: >).prefix(count)), "\(count) of \(weights)")
    }
  }

  @Test func onlyWhatIsKeptIsMade() {
    var made = 0
    var heaviest = Heaviest<Int>(2)
    func make(_ number: Int) -> Int {
      made += 1
      return number
    }
    for number in [9, 8, 1, 2, 3, 10] { heaviest.offer(UInt64(number), make(number)) }
    #expect(heaviest.items == [10, 9] && made == 3)
  }
}
