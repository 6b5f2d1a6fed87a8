// The version of everything that is built from this tree. The Makefile and the Debian package read
// it from here.

public enum Version {
  public static let text = "0.1.0"
}
