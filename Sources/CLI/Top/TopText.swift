// The rates as text: a heading and three tables, cut to what the terminal can show. Pure.

import Service

struct TopText {
  let rates: TopRates
  let order: TopOrder
  /// `14:02:11`
  let time: String
  /// Topics and connections are shown up to this many.
  var rowsMax: Int

  /// All lines, however wide.
  var lines: [String] {
    lines(topics: min(rowsMax, rates.topics.count), connections: rates.connections.count)
  }

  /// As many lines as fit, none wider than the terminal.
  func lines(rows: Int, columns: Int) -> [String] {
    // Heading, three table heads, two empty lines.
    let room = max(0, rows - rates.processes.count - 6)
    let connections = min(rates.connections.count, max(room / 2, room - rates.topics.count))
    return lines(topics: room - connections, connections: connections).prefix(max(0, rows))
      .map { String($0.prefix(max(0, columns))) }
  }

  private func lines(topics: Int, connections: Int) -> [String] {
    var lines = [heading]
    lines += Self.table(
      ["PROCESS", "PID", "CPU %", "MEMORY", "CONNS", "REQ/S", "IN/S", "OUT/S"],
      rates.processes.map { row in
        [
          row.name, "\(row.pid)", Quantity.decimal(row.cpuPercent, digits: 1),
          Quantity.bytes(Double(row.residentBytes)), row.connections.map { "\($0)" } ?? "-",
        ] + Self.cells(row)
      }, leftAligned: 1)
    lines.append("")
    lines += Self.table(
      ["TOPIC", "RECORDS/S", "REQ/S", "IN/S", "OUT/S"],
      rates.topics.prefix(min(rowsMax, topics)).map { row in
        [Fields.printable(Array(row.name.utf8)), Quantity.count(row.recordsIn)] + Self.cells(row)
      }, leftAligned: 1)
    lines.append("")
    lines += Self.table(
      ["CLIENT", "PEER", "PROCESS", "REQ/S", "IN/S", "OUT/S"],
      rates.connections.prefix(min(rowsMax, connections)).map { row in
        [
          row.clientId.isEmpty ? "-" : Fields.printable(Array(row.clientId.utf8)), row.peer,
          row.process,
        ] + Self.cells(row)
      }, leftAligned: 3)
    return lines
  }

  private var heading: String {
    let clients = rates.processes.filter { $0.name.hasPrefix("sluice-frontend") }
    func sum(_ value: (TopRates.Process) -> Double) -> Double {
      clients.reduce(0) { $0 + value($1) }
    }
    return
      "sluice top \(time): \(clients.reduce(0) { $0 + ($1.connections ?? 0) }) connections, "
      + "\(Quantity.count(sum(\.requests))) requests/s, \(Quantity.bytes(sum(\.bytesIn)))/s in, "
      + "\(Quantity.bytes(sum(\.bytesOut)))/s out; by \(order.rawValue)"
  }

  private static func cells(_ row: some TopRow) -> [String] {
    [Quantity.count(row.requests), Quantity.bytes(row.bytesIn), Quantity.bytes(row.bytesOut)]
  }

  /// Names to the left, numbers to the right.
  private static func table(_ header: [String], _ rows: [[String]], leftAligned: Int) -> [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return column < leftAligned ? cell + padding : padding + cell
      }.joined(separator: "  ")
    }
  }
}

extension TopRates {
  /// For scripts; rates are per second, rounded down.
  var fields: Fields {
    func rates(_ row: some TopRow, into fields: inout Fields) {
      fields.add("requestsPerSecond", Int64(row.requests))
      fields.add("bytesInPerSecond", Int64(row.bytesIn))
      fields.add("bytesOutPerSecond", Int64(row.bytesOut))
    }
    var all = Fields()
    all.add("intervalMs", Int64(seconds * 1000))
    all.add(
      "processes",
      .list(
        processes.map { row in
          var fields = Fields()
          fields.add("name", row.name)
          fields.add("pid", row.pid)
          fields.add("cpuPercent", Int64(row.cpuPercent))
          fields.add("residentBytes", row.residentBytes)
          if let connections = row.connections { fields.add("connections", connections) }
          rates(row, into: &fields)
          return .fields(fields)
        }))
    all.add(
      "topics",
      .list(
        topics.map { row in
          var fields = Fields()
          fields.add("topic", row.name)
          fields.add("recordsInPerSecond", Int64(row.recordsIn))
          rates(row, into: &fields)
          return .fields(fields)
        }))
    all.add(
      "connections",
      .list(
        connections.map { row in
          var fields = Fields()
          fields.add("peer", row.peer)
          fields.add("clientId", row.clientId)
          fields.add("process", row.process)
          rates(row, into: &fields)
          return .fields(fields)
        }))
    return all
  }
}
