// Every message of every edge: round trip, strictness, and any bytes at all.
import Linux
import Model
import Testing

@testable import IPC

struct MessageTests {
  @Test func everyMessageComesBackEqual() {
    struct Check: DirectionCheck {
      func run<M: Message>(_ samples: [M]) {
        for sample in samples {
          let bytes = payload(of: sample)
          let (back, rule) = decode(M.self, sample.kind, bytes)
          #expect(rule == "")
          guard let back else { continue }
          #expect("\(back)" == "\(sample)")
          #expect(payload(of: back) == bytes)
          #expect(back.descriptorCount == sample.descriptorCount)
          #expect(back.kind == sample.kind)
        }
      }
    }
    Samples.forEachDirection(Check())
  }

  @Test func thereIsASampleOfEveryKind() {
    struct Check: DirectionCheck {
      func run<M: Message>(_ samples: [M]) {
        let known = (0..<64 as Range<UInt16>).filter {
          !decode(M.self, $0, []).1.contains("has no message")
        }
        #expect(Set(samples.map(\.kind)) == Set(known), "\(M.self)")
      }
    }
    Samples.forEachDirection(Check())
  }

  @Test func bytesLeftOverAndBytesMissingAreRefused() {
    struct Check: DirectionCheck {
      func run<M: Message>(_ samples: [M]) {
        for sample in samples {
          let bytes = payload(of: sample)
          #expect(
            decode(M.self, sample.kind, bytes + [0]).1 == "1 bytes left over after the message")
          for count in 0..<bytes.count {
            #expect(decode(M.self, sample.kind, Array(bytes[..<count])).0 == nil, "\(sample)")
          }
        }
      }
    }
    Samples.forEachDirection(Check())
  }

  @Test func randomBytesNeverTrap() {
    struct Check: DirectionCheck {
      func run<M: Message>(_ samples: [M]) {
        var seed = Seed()
        var accepted = 0
        for _ in 0..<3000 {
          let kind = UInt16.random(in: 0...12, using: &seed)
          let count = Int.random(in: 0...120, using: &seed)
          if decode(M.self, kind, seed.bytes(count)).0 != nil { accepted += 1 }
        }
        for sample in samples {
          for _ in 0..<300 {
            var bytes = payload(of: sample)
            if bytes.isEmpty { break }
            let index = Int.random(in: 0..<bytes.count, using: &seed)
            bytes[index] = UInt8.random(in: 0...255, using: &seed)
            if decode(M.self, sample.kind, bytes).0 != nil { accepted += 1 }
          }
        }
        #expect(accepted >= 0, "\(seed)")
      }
    }
    Samples.forEachDirection(Check())
  }

  @Test(arguments: [
    ([4, 0, 0, 0], "a list of 4 elements in 0 bytes"),
    ([255, 255, 255, 255, 1, 2], "a list of 4294967295 elements in 2 bytes"),
  ])
  func aListNeedsItsBytes(bytes: [UInt8], rule: String) {
    #expect(decode(FrontendToLogWriter.self, 2, bytes).1 == rule)
  }

  @Test func aBooleanAndAStringAreChecked() {
    var fetch = payload(of: FrontendToFetcher.fetch(Samples.fetch(socket: true)))
    fetch[8] = 2
    #expect(decode(FrontendToFetcher.self, 1, fetch).1 == "a boolean is 0 or 1, not 2")
    var refused = payload(of: FetcherToFrontend.refused(connection: 1, reason: "abc"))
    refused[refused.count - 1] = 0xFF
    #expect(decode(FetcherToFrontend.self, 2, refused).1 == "a string is not UTF-8")
  }
}
