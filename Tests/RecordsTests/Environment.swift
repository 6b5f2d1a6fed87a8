import Foundation

enum Environment {
  static var seed: UInt64? {
    ProcessInfo.processInfo.environment["RECORDS_TEST_SEED"].flatMap { UInt64($0) }
  }
}
