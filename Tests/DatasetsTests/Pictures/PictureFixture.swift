/// Pictures that other programs made (Pillow), in base64: 16 × 12 pixels, red beside green, with blue in the upper half; or 5 × 4.
enum PictureFixture {
    /// A JPEG file in colour.
    static let rgb =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/"
        + "2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAMABADAREAAhEBAxEB/8QA"
        + "HwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkK"
        + "FhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXG"
        + "x8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
        + "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOE"
        + "hYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD5c/4SfQ/+"
        + "f7/yE3+Fep/xFLgT/oM/8p1f/kD/AHe+pYn+X8V/mfpL/wAJJov/AD+/+Q2/wr+W/wDiKXAn/QZ/5Tq//IH/AAr/AFLE/wAv4r/M/K2vDP8AvGP0or+Wz/hX"
        + "P//Z"
    /// A JPEG file in grey.
    static let grey =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/"
        + "wAALCAAMABABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEI"
        + "I0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ip"
        + "qrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APlz/hJ9D/5/v/ITf4V+kv8Awkmi/wDP7/5Db/Cvytr9"
        + "KK//2Q=="
    /// A JPEG file for print: cyan, magenta, yellow and black.
    static let cmyk =
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAIBgYHBgUIBwcHCQkICgwUDQwLCwwZEhMPFB0aHx4dGhwcICQuJyAiLCMcHCg3KSwwMTQ0NB8nOT04MjwuMzQy/8AA"
        + "FAgADAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQci"
        + "cRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqi"
        + "o6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD3+vn+uf8A+E38O/8AQQ/8gyf/"
        + "ABNe/wBfAFff9H/Cb+Hf+gh/5Bk/+Jor7/r4Arx+ivgCvv8Aoor/2Q=="
    /// A PNG file with a palette.
    static let palette =
        "iVBORw0KGgoAAAANSUhEUgAAABAAAAAMAgMAAAAWidUSAAAADFBMVEUA/4AA/wD/AID/AABYmYLBAAAAGElEQVR4nGNYtYqBgYmBATvB+J8hDLcsAHZZAr92"
        + "fNpBAAAAAElFTkSuQmCC"
    /// A PNG file with transparency.
    static let alpha =
        "iVBORw0KGgoAAAANSUhEUgAAABAAAAAMCAYAAABr5z2BAAAAJUlEQVR4nGP8z9CQwoAHMP7HJ8vAwIRfmjAYNQASyKOxMNAGAABKpAVd7MpZowAAAABJRU5E"
        + "rkJggg=="
    /// A PNG file of 16 bits: 10 in the second pixel, as 8 bits, 20 in the third, and so on.
    static let grey16 =
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAEEAAAAAAzyHbfAAAAFUlEQVR4nGNkYOCCAkYjIxiTBSsTADNDAneTfQ+cAAAAAElFTkSuQmCC"
    /// A PNG file in black and white: white at row 1, column 2.
    static let bit =
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAEAQAAAABuSMjtAAAAEElEQVR4nGNgYFBgYGBgAAAAqAAhCix0qAAAAABJRU5ErkJggg=="
}
