// Records of Kafka's own topics as fields: the generated type is found by the number in the key, and
// its stored properties are what is shown.

import KafkaProtocol
import Model
import Records

enum InternalRecord {
  /// Key and value of a record of `__consumer_offsets`, or of `__transaction_state`; nil when the key
  /// is of no known type. A value that cannot be read is shown as the rule it breaks.
  static func fields(_ record: Record, ofGroups: Bool) -> (key: FieldValue, value: FieldValue)? {
    guard let key = record.key, key.count >= 2 else { return nil }
    let recordType = Int16(key[0]) << 8 | Int16(key[1])
    for type in AllMessages.recordKeys
    where type.recordType == recordType && ofGroups != (type == TransactionLogKey.self) {
      return pair(type, key, record.value)
    }
    return nil
  }

  private static func pair<Key: WireRecordKey>(_: Key.Type, _ key: [UInt8], _ value: [UInt8]?)
    -> (key: FieldValue, value: FieldValue)?
  {
    do throws(WireError) {
      guard let decoded = try Key(decodingKey: key) else { return nil }
      var fields = Fields()
      fields.add("type", "\(Key.messageName)")
      for entry in reflected(decoded).entries { fields.add(entry.name, entry.value) }
      return (.fields(fields), self.value(Key.Value.self, value))
    } catch { return nil }
  }

  private static func value<Value: WireRecordValue>(_: Value.Type, _ bytes: [UInt8]?)
    -> FieldValue
  {
    guard let bytes else { return .null }
    do throws(WireError) {
      let decoded = try Value(decodingVersioned: bytes)
      var fields = Fields()
      fields.add("version", Int16(bytes[0]) << 8 | Int16(bytes[1]))
      if let group = decoded as? GroupMetadataValue {
        for entry in classicGroup(group).entries { fields.add(entry.name, entry.value) }
      } else {
        for entry in reflected(decoded).entries { fields.add(entry.name, entry.value) }
      }
      return .fields(fields)
    } catch {
      var fields = Fields()
      fields.add("unreadable", "\(error)")
      fields.add("bytes", bytes)
      return .fields(fields)
    }
  }

  /// A classic group; what members of the protocol type `consumer` carry is decoded too.
  private static func classicGroup(_ group: GroupMetadataValue) -> Fields {
    var fields = Fields()
    for entry in reflected(group).entries where entry.name != "members" {
      fields.add(entry.name, entry.value)
    }
    let members = group.members.map { member -> FieldValue in
      var shown = Fields()
      for entry in reflected(member).entries {
        var value = entry.value
        if group.protocolType == "consumer", case .bytes(let bytes) = value {
          value = consumerProtocol(entry.name, bytes)
        }
        shown.add(entry.name, value)
      }
      return .fields(shown)
    }
    fields.add("members", .list(members))
    return fields
  }

  private static func consumerProtocol(_ name: String, _ bytes: [UInt8]) -> FieldValue {
    let decoded: (any WireMessage)? =
      name == "subscription"
      ? try? ConsumerProtocolSubscription(decodingVersioned: bytes)
      : try? ConsumerProtocolAssignment(decodingVersioned: bytes)
    return decoded.map { .fields(reflected($0)) } ?? .bytes(bytes)
  }

  /// The stored properties of a generated message.
  static func reflected(_ message: Any) -> Fields {
    var fields = Fields()
    for child in Mirror(reflecting: message).children {
      guard let label = child.label, label != "unknownTaggedFields" else { continue }
      fields.add(label, value(child.value))
    }
    return fields
  }

  private static func value(_ any: Any) -> FieldValue {
    // An empty array of anything would pass for one of bytes.
    if type(of: any) == [UInt8].self, let bytes = any as? [UInt8] { return .bytes(bytes) }
    switch any {
    case let text as String: return .text(text)
    case let flag as Bool: return .bool(flag)
    case let id as UUID128: return .text(id.description)
    case let number as any BinaryInteger: return .number(Int64(clamping: number))
    default: break
    }
    let mirror = Mirror(reflecting: any)
    switch mirror.displayStyle {
    case .optional: return mirror.children.first.map { value($0.value) } ?? .null
    case .collection: return .list(mirror.children.map { value($0.value) })
    default: return .fields(reflected(any))
    }
  }
}
