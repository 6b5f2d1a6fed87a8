// What was done to one partition, counted where its slot is at hand anyway.

struct SlotWork {
  var bytes: UInt64 = 0
  var records: UInt64 = 0
  /// Rounds in which something was appended.
  var appends: UInt64 = 0
  /// `bytes` when the busiest topics were last asked for.
  var bytesTold: UInt64 = 0
}
