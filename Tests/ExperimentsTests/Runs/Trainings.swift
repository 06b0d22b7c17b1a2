import Datasets
import Environments
import Experiments
import Training

// Runs of one kind from their parts, as tests need them: commands start them by a plan.

extension Run where E == ComparisonExperiment {
    convenience init(_ comparison: Comparison, _ images: ClassificationImages, _ folder: RunFolder) {
        self.init(ComparisonExperiment(comparison, images), in: folder)
    }

    static func resume(_ comparison: Comparison, _ images: ClassificationImages, at path: String) throws -> ComparisonTraining {
        try resume(ComparisonExperiment(comparison, images), at: path)
    }
}

extension Run {
    convenience init<Settings>(_ experiment: GenerativeSetup<Settings>, _ images: GenerativeImages, _ folder: RunFolder)
    where E == GenerativeExperiment<Settings> {
        self.init(GenerativeExperiment(experiment, images), in: folder)
    }

    static func resume<Settings>(_ experiment: GenerativeSetup<Settings>, _ images: GenerativeImages, at path: String) throws -> Run
    where E == GenerativeExperiment<Settings> {
        try resume(GenerativeExperiment(experiment, images), at: path)
    }
}

extension Run where E == DQNExperiment {
    convenience init(_ experiment: DQNSetup, _ resources: DQNResources, _ folder: RunFolder, savesReplay: Bool) {
        self.init(DQNExperiment(experiment, resources, savesReplay: savesReplay), in: folder)
    }

    static func resume(
        _ experiment: DQNSetup, _ resources: DQNResources, at path: String, savesReplay: Bool, forgetsReplay: Bool = false
    ) throws -> DQNTraining {
        try resume(
            DQNExperiment(experiment, resources, savesReplay: savesReplay, resuming: path, forgetsReplay: forgetsReplay), at: path)
    }
}
