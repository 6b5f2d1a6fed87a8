// Numbers as people read them: in log lines, in `systemctl status`, in `sluice top`.

public enum Quantity {
  /// `0`, `0.3`, `42`, `1234`, `12.3k`, `4.5M`.
  public static func count(_ number: Double) -> String {
    scaled(number, 1000, ["", "k", "M", "G"])
  }

  /// `0 B`, `512 B`, `12.3 kB`, `4.5 MB`, `1.2 GB`; 1 kB is 1000 bytes.
  public static func bytes(_ number: Double) -> String {
    scaled(number, 1000, [" B", " kB", " MB", " GB", " TB"])
  }

  /// With at most `digits` digits behind the point and no zeros at the end.
  public static func decimal(_ number: Double, digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    guard number.isFinite, number * scale < 9e15 else { return "0" }
    let units = Int64((max(0, number) * scale).rounded())
    let (whole, rest) = units.quotientAndRemainder(dividingBy: Int64(scale))
    var fraction = String(rest)
    fraction = String(repeating: "0", count: digits - min(digits, fraction.count)) + fraction
    while fraction.last == "0" { fraction.removeLast() }
    return fraction.isEmpty || rest == 0 ? "\(whole)" : "\(whole).\(fraction)"
  }

  private static func scaled(_ number: Double, _ step: Double, _ units: [String]) -> String {
    var number = max(0, number)
    var unit = 0
    // Four digits without a unit are easier to read than one and a fraction.
    while number >= (unit == 0 ? 10_000 : 999.95), unit < units.count - 1 {
      number /= step
      unit += 1
    }
    return decimal(number, digits: number < 100 || unit > 0 ? 1 : 0) + units[unit]
  }
}
