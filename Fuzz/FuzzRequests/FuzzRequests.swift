// Fuzzes what arrives from clients: the input is a request frame after its length. Head, decoder and
// walkers must refuse or understand it; what is understood must survive encoding; and a walker must
// accept what the decoder accepts. A broken rule is a trap, which libFuzzer reports.
import FuzzSupport
import KafkaProtocol

private let requests: [Int16: any WireRequest.Type] = {
  var table: [Int16: any WireRequest.Type] = [:]
  for type in AllMessages.requests { table[type.apiKey.rawValue] = type }
  return table
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequest(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let frame = Array(UnsafeBufferPointer(start: data, count: count))
  guard let head = try? RequestHead(readingFrame: frame.span.bytes),
    let type = requests[head.apiKey.rawValue]
  else { return 0 }
  let body = Array(frame[head.bodyOffset...])
  let isUnderstood = survivesEncoding(type, body, version: head.apiVersion)
  switch head.apiKey {
  case .produce: precondition(walksProduce(frame, head) == isUnderstood)
  case .fetch: precondition(walksFetch(frame, head) == isUnderstood)
  default: break
  }
  return 0
}

private func walksProduce(_ frame: [UInt8], _ head: RequestHead) -> Bool {
  let span = frame.span.bytes
  do {
    let reader = WireReader(span, from: head.bodyOffset)
    var walker = try ProduceRequestWalker(reading: reader, version: head.apiVersion)
    while let item = try walker.next() {
      if case .partitionProduceData(let partition) = item, let records = partition.records {
        precondition(records.bytes(in: span).byteCount == records.count)
      }
    }
    try walker.reader.finish()
    return true
  } catch { return false }
}

private func walksFetch(_ frame: [UInt8], _ head: RequestHead) -> Bool {
  do {
    let reader = WireReader(frame.span.bytes, from: head.bodyOffset)
    var walker = try FetchRequestWalker(reading: reader, version: head.apiVersion)
    while try walker.next() != nil {}
    try walker.reader.finish()
    return true
  } catch { return false }
}
