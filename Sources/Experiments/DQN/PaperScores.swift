/// The scores of the paper's §5.4: its table, and its Figure 5, digitised.
package enum PaperScores {
    /// The name of the work that the paper compares with: Mnih et al., 2015.
    package static let mnih = "Mnih et al. (2015)"
    package static let actionsPerEpoch = 250_000
    package static let epochs = 200

    /// The highest mean score of an evaluation in a game, by norm; nil for a game that the paper does not have.
    package static func best(_ game: String) -> [String: Double]? {
        switch game {
        case "breakout": ["normal": 410, "weight": 403, mnih: 401]
        case "enduro": ["normal": 1250, "weight": 1448, mnih: 302]
        case "seaquest": ["normal": 7188, "weight": 7375, mnih: 5286]
        case "space_invaders": ["normal": 1779, "weight": 2179, mnih: 1975]
        default: nil
        }
    }

    /// Means over parts of Figure 5's curves, each at its part's middle; empty for a game without a curve.
    package static func curve(_ game: String, _ norm: String) -> [(epoch: Double, value: Double)] {
        let values: [Double] =
            switch (game, norm) {
            case ("space_invaders", "normal"): [466, 971, 1215, 1473, 1556]
            case ("space_invaders", "weight"): [586, 1095, 1351, 1541, 1785]
            default: []
            }
        return zip([12.5, 37.5, 75, 125, 175], values).map { ($0, $1) }
    }
}
