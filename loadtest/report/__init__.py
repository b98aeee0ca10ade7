"""Results for people and programs: HTML, JSON, CSV, JUnit, a baseline compared; it measures and judges nothing."""
