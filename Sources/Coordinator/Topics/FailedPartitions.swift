// What is told of partitions that cannot be used: a missing disk takes thousands, and the operator
// wants one line a topic and not one a partition, and a count where there are many topics. Pure.

import IPC
import Model

struct FailedPartitions {
  /// Topics and reasons that are told one by one.
  static let linesMax = 20

  struct Line: Equatable {
    let topic: String
    /// As people write it: `3`, or `0-5, 7`.
    let partitions: String
    let error: ErrorCode
    let text: String
  }

  private(set) var lines: [Line] = []
  /// What is not among the lines.
  private(set) var otherPartitions = 0
  private(set) var otherTopics = 0

  /// - Parameter states: of any partitions; those that are open or being recovered do not count.
  init(_ states: [PartitionState]) {
    struct Group: Hashable {
      let topic: String
      let error: ErrorCode
      let detail: String
    }
    var groups: [Group: [Int32]] = [:]
    // One that is being recovered is told of again when it is open.
    for state in states where state.error != .none && state.error != .leaderNotAvailable {
      let group = Group(topic: state.name.topic, error: state.error, detail: state.detail)
      groups[group, default: []].append(state.name.partition)
    }
    let sorted = groups.sorted { ($0.key.topic, $0.value[0]) < ($1.key.topic, $1.value[0]) }
    var topicsLeft: Set<String> = []
    for (group, partitions) in sorted {
      if lines.count == Self.linesMax {
        otherPartitions += partitions.count
        topicsLeft.insert(group.topic)
        continue
      }
      let what =
        partitions.count == 1
        ? "a partition cannot be used" : "\(partitions.count) partitions cannot be used"
      lines.append(
        Line(
          topic: group.topic, partitions: Self.ranges(partitions), error: group.error,
          text: "\(what): \(group.error) \(group.detail)"))
    }
    otherTopics = topicsLeft.count
  }

  /// Numbers as ranges; what goes on for long is cut.
  private static func ranges(_ numbers: [Int32]) -> String {
    var ranges: [ClosedRange<Int32>] = []
    for number in numbers.sorted() {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
    let shown = ranges.prefix(linesMax).map {
      $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
    }
    return shown.joined(separator: ", ") + (ranges.count > linesMax ? ", …" : "")
  }
}
